import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from house_rules import RULE


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(RULE.encode())


HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
