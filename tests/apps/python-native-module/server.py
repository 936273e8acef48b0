import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from markupsafe import _speedups, escape


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{_speedups.__file__.rpartition('.')[2]} {escape('<b>')}".encode())


HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
