"""A real gunicorn with the git URLs, and real git clients. In: nothing.  Out: `GitServer`, `Clone`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.ports import free_port

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
TOKEN = "token-of-ada"
ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "LC_ALL": "C",
}


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when `condition` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still not true after {seconds} s")
        time.sleep(0.02)


class GitServer:
    """gunicorn gthread with one worker on a free port."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        self.port = free_port()
        (root / "apps").mkdir()
        self.log = root / "server.log"
        self._settings = settings

    @contextmanager
    def running(self) -> Iterator[GitServer]:
        environment = {
            **ENV,
            "DJANGO_SETTINGS_MODULE": "settings_git",
            "PYTHONPATH": f"{PROJECT}:{HERE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PAAS_GIT_TEST_ROOT": str(self.root),
            "PAAS_GIT_TEST_SETTINGS": json.dumps(self._settings),
            "HOME": str(self.root),
        }
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "--bind",
            f"127.0.0.1:{self.port}",
            "-k",
            "gthread",
            "-w",
            "1",
        ]
        command += ["--threads", "8", "--no-control-socket", "--graceful-timeout", "2"]
        command += ["django.core.wsgi:get_wsgi_application()"]
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.root)
        try:
            wait_for(self._answers, 20)
            yield self
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def url(self, app: str, token: str = TOKEN) -> str:
        return f"http://x:{token}@127.0.0.1:{self.port}/{app}.git"

    def add_app(self, name: str, suspended: str = "") -> str:
        (self.root / "apps" / name).write_text(suspended)
        return self.url(name)

    def plan(self, *lines: str) -> None:
        (self.root / "plan").write_text("\n".join(lines))

    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def repo(self, app: str) -> Path:
        return self.root / "repos" / f"id-{app}.git"

    def ref(self, app: str, ref: str = "refs/heads/main") -> str:
        done = subprocess.run(
            ["git", "-C", str(self.repo(app)), "rev-parse", "-q", "--verify", ref],
            env=ENV,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def files_left(self, app: str) -> list[str]:
        """Names below the repository that no push may leave behind, plus its packs."""
        repo = self.repo(app)
        packs = [file.name for file in (repo / "objects" / "pack").iterdir()]
        left = [
            str(file)
            for file in repo.rglob("*")
            if "tmp" in file.name or "incoming" in file.name or file.suffix == ".lock"
        ]
        left += [str(file) for file in (repo / "quarantine").rglob("*")]
        return packs + [file for file in left if not file.endswith("push.lock")]


class Work:
    """A working copy of a user."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        if not path.exists():
            path.mkdir()
            self.git("init", "-q", "-b", "main")
            self.git("remote", "add", "paas", url)

    def git(
        self, *args: str, ok: bool = True, stdin: bytes | None = None, env: dict[str, str] | None = None
    ) -> str:
        """Run git and return both outputs; fails the test when its exit status is not the expected one."""
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env={**ENV, "HOME": str(self.path), **(env or {})},
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert (done.returncode == 0) is ok, text
        return text

    def raw(self, *args: str, stdin: bytes = b"") -> bytes:
        """Run git and return its output as bytes."""
        environment = {**ENV, "HOME": str(self.path)}
        return subprocess.run(
            ["git", *args], cwd=self.path, env=environment, input=stdin, capture_output=True, check=True
        ).stdout

    def start(self, *args: str, stderr: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start git in a process group of its own."""
        environment = {**ENV, "HOME": str(self.path)}
        return subprocess.Popen(
            ["git", *args], cwd=self.path, env=environment, stderr=stderr, start_new_session=True
        )

    def write_tree(self, data: bytes) -> str:
        """Store a tree that git itself would not make."""
        return (
            self.raw("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data).decode().strip()
        )

    def commit(self, files: dict[str, bytes | str], message: str = "change") -> str:
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.head()

    def head(self, ref: str = "HEAD") -> str:
        return self.git("rev-parse", ref).strip()


@contextmanager
def server(**settings: object) -> Iterator[GitServer]:
    """Run a server in a folder of its own and remove both."""
    root = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    try:
        with GitServer(root, **settings).running() as running:
            yield running
    finally:
        shutil.rmtree(root)
