"""Is healthy at /up only, and only after it has been asked three times."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

asked = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += self.path == "/up"
        body = f"asked {min(asked, 3)} times or more\n".encode()
        self.send_response(503 if self.path == "/up" and asked < 3 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
