"""A controller over real HTTP: takes reports and logs, serves and stores images and job inputs."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runtime import shapes
from runtime.model import HostReport, LogBatch, LogLine, ReportReply, WantedState, decode, encode

TOKEN = "controller-token-0123456789"


class FakeController:
    def __init__(self) -> None:
        self.reports: list[HostReport] = []
        self.batches: list[LogBatch] = []
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.wanted: WantedState | None = None
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        controller = self

        class Handler(_Handler):
            owner = controller

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def lines(self, container: str) -> list[LogLine]:
        return [line for batch in list(self.batches) if batch.container == container for line in batch.lines]

    def texts(self, container: str) -> list[str]:
        return [line.text for line in self.lines(container)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """An agent that is killed in mid-answer is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    owner: FakeController

    def do_GET(self) -> None:
        self._serve(self.owner.files.get(self.path))

    def do_HEAD(self) -> None:
        data = self.owner.files.get(self.path)
        self._answer(200 if data is not None else 404, b"")

    def do_PUT(self) -> None:
        self.owner.files[self.path] = self._body()
        self._answer(201, b"")

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/report"):
            report = decode(body, HostReport)
            self.owner.reports.append(report)
            wanted = self.owner.wanted
            newer = wanted is not None and wanted.generation > report.generation
            self._answer(200, encode(ReportReply(wanted=wanted if newer else None)))
        elif self.path.endswith("/logs"):
            self.owner.batches.extend(shapes.decode(body, list[LogBatch]))
            self._answer(204, b"")
        else:
            self._answer(404, b"")

    def _serve(self, data: bytes | None) -> None:
        self._answer(200 if data is not None else 404, data or json.dumps({"id": "not_found"}).encode())

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, data: bytes) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, data = 401, b"wrong token"
        self.owner.requests.append(f"{self.command} {self.path} {status}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
