import base64
import os
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

WANTED = "Basic " + base64.b64encode(f"builder:{os.environ['INDEX_TOKEN']}".encode()).decode()


class Index(SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != WANTED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=index")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()


HTTPServer(("127.0.0.1", 8999), partial(Index, directory="simple")).serve_forever()
