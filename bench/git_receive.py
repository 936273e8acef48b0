"""Receiving pushes: ours (gunicorn gthread, the Django view, a backend that says ok) beside `git http-backend`.

In: git, nginx and fcgiwrap on this machine.  Out: wall time, server CPU (whole process tree) and peak anonymous memory
above idle per case, medians of interleaved runs (A B B A ...), and ratios.  `--quick` uses a tenth of the sizes.
"stored" is a push to a branch that does not deploy, the same work as http-backend's; "deploy" also writes the tar.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
TICK = os.sysconf("SC_CLK_TCK")
ROOT_VARIABLE = "GIT_RECEIVE_BENCH_ROOT"


class AlwaysOk:
    """A `GitBackend` whose builds succeed at once."""

    def authenticate(self, user, password):
        from paas.controller.git.port import Account

        return Account("1", "ada@example.com")

    def open_app(self, account, name, write):
        from paas.controller.git.port import AppRepository

        return AppRepository(name, name, Path(os.environ[ROOT_VARIABLE]) / f"{name}.git")

    def start_build(self, account, repo, *, commit, **details):
        return commit

    def build_events(self, build_id, timeout):
        from paas.controller.git.port import BuildEvent

        yield BuildEvent("done", ok=True)

    def confirm(self, build_id, commit):
        return None

    def cancel_build(self, build_id):
        return None


def application():
    """Return the WSGI application that gunicorn serves here."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    settings.configure(
        SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF="paas.controller.git.urls", MIDDLEWARE=[], DATABASES={},
        PAAS_GIT_BACKEND="git_receive.AlwaysOk", PAAS_GIT_MAX_PACK=1 << 30, PAAS_GIT_QUOTA=1 << 40,
    )  # fmt: skip
    return get_wsgi_application()


@dataclass(frozen=True)
class Cost:
    """One push: wall and CPU seconds, MB of anonymous memory above idle."""

    wall: float
    cpu: float
    memory: float


class Tree:
    """The processes below some roots."""

    def __init__(self, roots: list[int], times: Path | None = None) -> None:
        """`times`: a file to which children that nobody waits for append what they used (shell's `times`)."""
        self._roots = roots
        self._times = times
        self.idle = 0.0
        self._peak = 0
        self._stop = threading.Event()

    def pids(self) -> list[int]:
        found, todo = [], list(self._roots)
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    todo += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
        return found

    def cpu(self) -> float:
        """CPU seconds of all of them and of their waited-for children."""
        return sum(self._cpu(pid) for pid in self.pids()) + self._written()

    def _written(self) -> float:
        if self._times is None or not self._times.exists():
            return 0
        found = re.findall(r"(\d+)m([\d.]+)s", self._times.read_text())
        return sum(60 * int(minutes) + float(seconds) for minutes, seconds in found)

    @staticmethod
    def _cpu(pid: int) -> float:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0
        return sum(map(int, fields[11:15])) / TICK

    def anonymous(self) -> float:
        return sum(self._anonymous(pid) for pid in self.pids()) / 1024

    @staticmethod
    def _anonymous(pid: int) -> int:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)

    def measure(self, action: Callable[[], None]) -> Cost:
        """Run `action` while watching the tree."""
        cpu, start = self.cpu(), time.monotonic()
        self._peak, self._stop = self.anonymous(), threading.Event()
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        action()
        wall = time.monotonic() - start
        self._stop.set()
        watcher.join()
        return Cost(wall, self._settled_cpu() - cpu, self._peak - self.idle)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self._peak = max(self._peak, self.anonymous())

    def _settled_cpu(self) -> float:
        """The client may leave before the server's children do: wait until the number stands still."""
        before = -1.0
        while (now := self.cpu()) != before:
            before = now
            time.sleep(0.1)
        return now


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int) -> None:
    """Return when somebody listens; raises after 20 seconds."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def process(command: list[str], **options) -> Iterator[int]:
    """Run a server for the block."""
    child = subprocess.Popen(command, **options)
    try:
        yield child.pid
    finally:
        child.terminate()
        child.wait()


@contextmanager
def ours(root: Path) -> Iterator[tuple[Tree, str]]:
    """gunicorn with one gthread worker, as in production."""
    port = free_port()
    environment = {
        **os.environ,
        ROOT_VARIABLE: str(root),
        "MALLOC_ARENA_MAX": "2",
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'bench'}",
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-b",
        f"127.0.0.1:{port}",
        "-k",
        "gthread",
        "-w",
        "1",
        "--threads",
        "8",
    ]
    command += ["--no-control-socket", "--log-level", "warning", "git_receive:application()"]
    with process(command, env=environment) as pid:
        wait_for_port(port)
        yield Tree([pid]), f"http://x:y@127.0.0.1:{port}"


NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; user root;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {root}/body; proxy_temp_path {root}/p;
  fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      include /etc/nginx/fastcgi_params; fastcgi_request_buffering off; fastcgi_buffering off; fastcgi_read_timeout 600;
      fastcgi_param SCRIPT_FILENAME {root}/http-backend; fastcgi_param PATH_INFO $uri;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param GIT_PROJECT_ROOT {root}; fastcgi_param HOME {root};
      fastcgi_param CONTENT_LENGTH $http_content_length; fastcgi_pass unix:{root}/cgi.sock;
    }}
  }}
}}
"""


# fcgiwrap does not wait for its children, so that their CPU time is in no /proc file: each writes its own.
CGI = """#!/bin/sh
/usr/lib/git-core/git-http-backend
times >> {root}/times
"""


@contextmanager
def peer(root: Path) -> Iterator[tuple[Tree, str]]:
    """nginx, fcgiwrap, git http-backend."""
    port = free_port()
    configuration = root / "nginx.conf"
    configuration.write_text(NGINX.format(root=root, port=port))
    script = root / "http-backend"
    script.write_text(CGI.format(root=root))
    script.chmod(0o755)
    with (
        process(["fcgiwrap", "-c", "2", "-s", f"unix:{root}/cgi.sock"]) as cgi,
        process(["nginx", "-c", str(configuration), "-e", f"{root}/nginx.log"]) as web,
    ):
        wait_for_port(port)
        yield Tree([cgi, web], root / "times"), f"http://127.0.0.1:{port}"


def fast_import(path: Path, commits: Iterator[tuple[int, list[tuple[str, bytes]]]]) -> None:
    """Make a bare repository whose main branch has `commits`: number, changed files."""
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    child = subprocess.Popen(["git", "-C", str(path), "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    for number, files in commits:
        text = f"change {number}".encode()
        child.stdin.write(
            b"commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\n" % (1700000000 + number)
        )
        child.stdin.write(b"data %d\n%s\n" % (len(text), text))
        for name, data in files:
            child.stdin.write(b"M 100644 inline %s\ndata %d\n" % (name.encode(), len(data)))
            child.stdin.write(data)
            child.stdin.write(b"\n")
    child.stdin.close()
    if child.wait():
        raise SystemExit("git fast-import failed")
    for key, value in (("pack.threads", "1"), ("core.bigFileThreshold", "500k")):
        subprocess.run(["git", "-C", str(path), "config", key, value], check=True)


def many_files(count: int, total: int) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """One commit of `count` text files, `total` bytes together."""
    dice = random.Random(1)
    words = [f"{dice.getrandbits(32):x}" for _ in range(2000)]
    text = [" ".join(dice.choices(words, k=total // count // 9)).encode() for _ in range(count)]
    yield 0, [(f"d{number // 100:03}/f{number:05}.txt", data) for number, data in enumerate(text)]


def many_commits(count: int) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """600 source files three folders deep; each commit changes a line of one of them (about six objects)."""
    dice = random.Random(2)
    names = [f"src/mod{number % 20:02}/pkg{number % 5}/file{number:04}.py" for number in range(600)]
    lines = {name: [f"line {row} of {name} {dice.random()}" for row in range(40)] for name in names}
    for number in range(count):
        changed = names if number == 0 else [dice.choice(names)]
        for name in changed:
            lines[name][dice.randrange(40)] = f"changed in {number} {dice.random()}"
        yield number, [(name, "\n".join(lines[name]).encode()) for name in changed]


def random_blobs(count: int) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """One commit of `count` incompressible files of 1 MB."""
    yield 0, [(f"blob{number:03}.bin", os.urandom(1 << 20)) for number in range(count)]


class Bench:
    """The cases, run alternately against both servers."""

    def __init__(self, root: Path, only: str) -> None:
        self._root = root
        self._only = only
        self._pushes = 0

    def compare(self, name: str, source: Path, runs: int, *, before: str = "") -> None:
        """Push `source`'s main to fresh repositories (after an unmeasured push of `before`) and print the medians."""
        if self._only not in name:
            return
        kinds = ["peer", "stored", "deploy"]
        costs: dict[str, list[Cost]] = {kind: [] for kind in kinds}
        for number in range(runs):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                costs[kind].append(self._push(kind, source, before))
        middle = {kind: _median(found) for kind, found in costs.items()}
        print(f"\n{name}")
        for kind, cost in middle.items():
            label = {"peer": "http-backend", "stored": "ours, stored", "deploy": "ours, deploy"}[kind]
            base = middle["peer"]
            ratio = f"{cost.wall / base.wall:5.2f}x {cost.cpu / max(base.cpu, 1 / TICK):5.2f}x"
            print(
                f"  {label:13} {cost.wall:6.2f} s {cost.cpu:6.2f} s CPU {cost.memory:+6.0f} MB   {ratio}",
                flush=True,
            )

    def warm_up(self, source: Path) -> None:
        """One tiny push each, so that modules are loaded; what the servers hold then counts as idle."""
        fast_import(source, many_files(3, 300))
        for kind, server in (("peer", "peer"), ("stored", "ours"), ("deploy", "ours")):
            self._push(kind, source, "")
            self.servers[server][0].idle = self.servers[server][0].anonymous()

    def _push(self, kind: str, source: Path, before: str) -> Cost:
        self._pushes += 1
        name = f"{kind}{self._pushes}"
        branch = "main" if kind == "deploy" else "other"
        tree, url = self.servers["peer" if kind == "peer" else "ours"]
        target = f"{url}/{name}.git"
        repository = self._root / f"{name}.git"
        if kind == "peer":
            options = ["-c", "init.defaultBranch=main"]
            subprocess.run(["git", *options, "init", "-q", "--bare", str(repository)], check=True)
            for key, value in (("http.receivepack", "true"), ("receive.autogc", "false")):
                subprocess.run(["git", "-C", str(repository), "config", key, value], check=True)
        if before:
            push(source, target, before, branch)
        cost = tree.measure(lambda: push(source, target, "main", branch))
        shutil.rmtree(repository)
        return cost

    @contextmanager
    def serving(self) -> Iterator[None]:
        with ExitStack() as stack:
            self.servers = {
                "ours": stack.enter_context(ours(self._root)),
                "peer": stack.enter_context(peer(self._root)),
            }
            yield


def push(source: Path, url: str, revision: str, branch: str) -> None:
    """One `git push`."""
    command = ["git", "-C", str(source), "push", "-q", url, f"{revision}:refs/heads/{branch}"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"push to {url} failed: {done.stderr}")


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        *(statistics.median(getattr(cost, key) for cost in costs) for key in ("wall", "cpu", "memory"))
    )


def main() -> None:
    """Make the repositories, run the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, 3 runs")
    parser.add_argument(
        "--runs", type=int, default=5, help="runs per case and server (default 5; big blobs: at most 3)"
    )
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    options = parser.parse_args()
    scale, runs = (10, 3) if options.quick else (1, options.runs)
    for tool in ("nginx", "fcgiwrap"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: apt-get install nginx-light fcgiwrap")
    root = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    try:
        files, commits, blobs = root / "files", root / "commits", root / "blobs"
        fast_import(files, many_files(20_000 // scale, 50_000_000 // scale))
        fast_import(commits, many_commits(10_000 // scale))
        fast_import(blobs, random_blobs(300 // scale))
        bench = Bench(root, options.only)
        with bench.serving():
            print(
                "medians; wall, server CPU, peak anonymous memory above idle, ratios of wall and CPU to http-backend"
            )
            bench.warm_up(root / "tiny")
            bench.compare(f"{20_000 // scale:,} files, {50 // scale} MB", files, runs)
            bench.compare(f"{10_000 // scale:,} commits", commits, runs)
            bench.compare("+1 commit on that", commits, runs, before="main~1")
            bench.compare(f"{300 // scale} x 1 MB of random bytes", blobs, min(runs, 3))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
