"""Small apps for end-to-end tests, as texts by path.

In: what the app should do.  Out: the files of a repository.
"""

from __future__ import annotations

import json

SERVER = """
import os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = {version!r}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/sleep/"):
            time.sleep(float(self.path.rpartition("/")[2]))
        if self.path == "/crash":
            os._exit(3)
        if self.path == "/env":
            body = repr(sorted(os.environ.items())).encode()
        elif self.path == "/config":
            body = os.environ.get("GREETING", "").encode()
        else:
            body = (VERSION + " " + os.environ.get("DYNO", "?")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

time.sleep({boot})
server = Server(("0.0.0.0", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", flush=True)
server.serve_forever()
"""


def plain(
    version: str = "one", boot: float = 0.0, procfile: str = "web: python3 server.py\n"
) -> dict[str, str]:
    """A web server of the standard library that says its version; `boot` seconds pass before it listens."""
    return {"Procfile": procfile, "server.py": SERVER.format(version=version, boot=boot)}


def flask(version: str = "one", extra: str = "") -> dict[str, str]:
    """A Flask app under gunicorn with pinned requirements."""
    app = (
        "import os\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n"
        f"@app.get('/')\ndef index():\n    return {version!r} + ' ' + os.environ.get('DYNO', '?')\n{extra}"
    )
    return {
        "app.py": app,
        "requirements.txt": "flask==3.1.3\ngunicorn==27.0.1\n",
        "Procfile": "web: gunicorn --workers 2 --threads 4 app:app\n",
    }


def node(version: str = "one") -> dict[str, str]:
    """A Node server without dependencies."""
    code = (
        "const http = require('http');\n"
        f"const server = http.createServer((q, s) => s.end('{version} ' + process.env.DYNO));\n"
        "server.listen(process.env.PORT, '0.0.0.0');\n"
    )
    package = {"name": "small", "version": "1.0.0", "scripts": {"start": "node server.js"}}
    lock = {"name": "small", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": package}}
    return {"server.js": code, "package.json": json.dumps(package), "package-lock.json": json.dumps(lock)}
