"""Is healthy at /up only: refused twice, then without the text three times."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

asked = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += self.path == "/up"
        body = f"asked {min(asked, 6)} times or more\n".encode()
        if self.path == "/up" and asked > 5:
            body += b"All is well"
        self.send_response(503 if self.path == "/up" and asked < 3 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
