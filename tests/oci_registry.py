"""A registry on loopback (Debian's docker-registry) behind a proxy that counts, stalls and damages what it serves.

In: a folder and two ports.  Out: `127.0.0.1:PORT`, and what was asked of it.
"""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
READY = 20.0  # seconds


@dataclass
class Registry:
    """`host` is spoken to; `fetched` counts GETs of blobs by digest. A blob in `held` stalls after its first bytes
    until it is `released`; one in `flipped` has a byte changed.
    `credentials`: the Authorization header that is asked for."""

    host: str
    behind: int
    fetched: Counter[str] = field(default_factory=Counter)
    held: set[str] = field(default_factory=set)
    flipped: set[str] = field(default_factory=set)
    credentials: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(folder: Path, ports: list[int]) -> Iterator[Registry]:
    """Run a registry and its proxy."""
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(CONFIG.format(root=folder / "data", port=ports[0]))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    registry = Registry(f"127.0.0.1:{ports[1]}", ports[0])
    server = ThreadingHTTPServer(("127.0.0.1", ports[1]), _handler(registry))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        _wait(ports[0])
        yield registry
    finally:
        registry.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
        process.terminate()
        process.wait(10)


def _wait(port: int) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/v2/")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("the registry did not start")


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _pass_on(self) -> None:
            length = self.headers.get("Content-Length")
            body: bytes | None = self.rfile.read(int(length)) if length else None
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b"".join(self._chunks())
            if registry.credentials and self.headers.get("Authorization") != registry.credentials:
                self._refuse()
                return
            connection = http.client.HTTPConnection("127.0.0.1", registry.behind, timeout=60)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():  # Accept comes in several lines
                    if name.lower() not in (
                        "transfer-encoding",
                        "connection",
                        "content-length",
                        "authorization",
                    ):
                        connection.putheader(name, value)
                if body is not None:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                self._answer(answer, answer.read())
            finally:
                connection.close()

        def _refuse(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _chunks(self) -> Iterator[bytes]:
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def _answer(self, answer: http.client.HTTPResponse, data: bytes) -> None:
            digest = self.path.rpartition("/blobs/")[2] if "/blobs/sha256:" in self.path else ""
            if digest and self.command == "GET":
                registry.fetched[digest] += 1
            if digest in registry.flipped and data:
                data = data[:-1] + bytes([data[-1] ^ 1])
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date"):
                    self.send_header(name, value)
            self.end_headers()
            if digest in registry.held and self.command == "GET":
                self.wfile.write(data[:100])
                self.wfile.flush()
                registry.stalled.set()
                registry.released.wait(60)
                data = data[100:]
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    return Handler
