"""A platform in miniature: a real HTTP server that answers what a test says and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from paas.cli.main import run


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Platform:
    url: str
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, method: str, path: str, value: Any = None, status: int = 200, **headers: str) -> None:
        """Answer with a value as JSON, with bytes as they are, or with what a function of the request returns."""
        self.answers[method, path] = (value, status, headers)

    @property
    def last(self) -> Asked:
        return self.asked[-1]


def handler_for(platform: Platform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, self.path, dict(self.headers.items()), body)
            platform.asked.append(asked)
            missing = ({"id": "not_found", "message": f"Nothing at {self.path}."}, 404, {})
            value, status, headers = platform.answers.get((self.command, self.path), missing)
            value = value(asked) if callable(value) else value
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name.replace("_", "-"), text)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = respond

        def log_message(self, *arguments: Any) -> None:
            """Keep the tests' output quiet."""

    return Handler


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, and a folder that is no repository."""
    for name in ("PAAS_URL", "PAAS_TOKEN", "PAAS_APP", "XDG_CONFIG_HOME", "NETRC", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    platform = Platform("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(platform))
    server.daemon_threads = True
    platform.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("PAAS_URL", platform.url)
    monkeypatch.setenv("PAAS_TOKEN", "secret-token")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield platform
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Paas = Callable[..., Done]


@pytest.fixture
def paas(home: Path, capsys: pytest.CaptureFixture[str]) -> Paas:
    """Run a command line."""

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(list(arguments))
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call
