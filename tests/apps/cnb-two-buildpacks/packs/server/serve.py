#!/usr/bin/python3
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        with open("page.txt", encoding="utf-8") as file:
            text = f"{os.environ['GREETED']}\n{os.environ['WORDS']}\n{file.read()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("", int(sys.argv[2])), Page).serve_forever()
