"""Another server on loopback: git repositories by git's own http-backend, and files.

In: a folder, and one with a certificate for https.  Out: a URL. `NAME.git` below the folder is a repository, anything
else a file; `token`: asked for.
"""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BACKEND = "/usr/lib/git-core/git-http-backend"
GIT_ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "HOME": "/nonexistent",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


@dataclass
class SourceServer:
    """`token`: the password that everything needs; `redirects`: path to another URL; `asked`: paths with
    their user; `dumb`: knows git's old protocol only."""

    folder: Path
    url: str = ""
    token: str = ""
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    dumb: bool = False

    def repository(self, name: str, files: dict[str, str]) -> Path:
        """Make a bare repository with one commit on main; returns a working tree of it."""
        work, bare = self.folder / f"{name}-work", self.folder / f"{name}.git"
        work.mkdir()
        git(self.folder, "init", "-q", "--bare", "-b", "main", str(bare))
        git(work, "init", "-q", "-b", "main")
        git(work, "remote", "add", "origin", str(bare))
        self.commit(work, files)
        return work

    def commit(self, work: Path, files: dict[str, str], message: str = "Say hello") -> str:
        """Commit and push files; returns the commit."""
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        git(work, "add", "--all")
        git(work, "commit", "-q", "--allow-empty", "-m", message)
        git(work, "push", "-q", "origin", "HEAD:main")
        return git(work, "rev-parse", "HEAD")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ("git", *words), cwd=folder, env=GIT_ENV, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def serving(folder: Path, certificate: Path | None = None) -> Iterator[SourceServer]:
    """`certificate`: the folder in which `paas.gateway.certificates.ensure` has made one."""
    one = SourceServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            given = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode()
            one.asked.append(f"{given.partition(':')[0]} {path}")
            if path in one.redirects:
                self.send_response(302)
                self.send_header("Location", one.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif one.token and given.partition(":")[2] != one.token:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="here"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif ".git/" in path:
                self.backend(path, "" if one.dumb else query)
            else:
                self.file(one.folder / path.lstrip("/"))

        def file(self, file: Path) -> None:
            body = file.read_bytes() if file.is_file() else b""
            self.send_response(200 if file.is_file() else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def backend(self, path: str, query: str) -> None:
            environ = {
                **GIT_ENV,
                "GIT_PROJECT_ROOT": str(one.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": self.headers.get("Content-Length", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(
                [BACKEND], env=environ, input=body, capture_output=True, timeout=60, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().splitlines()]
            status = next((value for name, value in fields if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in fields:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "gateway.pem", certificate / "gateway.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    one.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
