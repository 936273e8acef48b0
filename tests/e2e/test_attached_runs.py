"""`paas run` and `paas ps:exec` at a terminal, git over TLS: the command, the gateway, the agent, all real."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.apps import plain
from tests.e2e.platform import ROOT, Platform, commit, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def app(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A deployed app with a config var."""
    from tests.e2e.platform import repository

    name = platform.create_app()
    assert platform.api("PATCH", f"/apps/{name}/config-vars", {"GREETING": "hello there"}).status == 200
    pushed = platform.git_push(repository(tmp_path_factory.mktemp("app") / "r", None, plain()), name)
    assert pushed.code == 0, pushed.output
    return name


def environ(platform: Platform) -> dict[str, str]:
    url = f"http://localhost:{platform.port('PAAS_API_PORT')}"
    kept = {name: value for name, value in platform.environ.items() if not name.startswith("PAAS_")}
    return kept | {"PAAS_URL": url, "PAAS_TOKEN": platform.token, "HOME": str(platform.home / "nobody")}


def paas(platform: Platform, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command without a terminal."""
    return subprocess.run(
        (sys.executable, "-m", "paas.cli.main", *words),
        cwd=ROOT,
        env=environ(platform),
        input=stdin,
        capture_output=True,
        timeout=90,
        check=False,
    )


@dataclass
class AtTerminal:
    """A `paas` command on a terminal of 33 by 111."""

    pid: int
    master: int
    seen: bytes = b""
    code: int | None = field(default=None)

    def until(self, wanted: bytes, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while wanted not in self.seen:
            ready = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"{wanted!r} did not come: {self.seen.decode(errors='replace')}"
            try:
                self.seen += os.read(self.master, 4096)
            except OSError:
                break
        assert wanted in self.seen, self.seen.decode(errors="replace")

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def wait(self, seconds: float = 30) -> int:
        deadline = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 4096)
                except OSError:
                    time.sleep(0.05)
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.seen += os.read(self.master, 4096)
            except OSError:
                break
        return self.code

    def end(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


@pytest.fixture
def at_terminal(platform: Platform) -> Iterator[Callable[..., AtTerminal]]:
    opened: list[AtTerminal] = []

    def start(*words: str) -> AtTerminal:
        told = {**environ(platform), "TERM": "xterm-256color"}
        pid, master = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
            os.chdir(ROOT)
            os.execve(sys.executable, [sys.executable, "-m", "paas.cli.main", *words], told)
        opened.append(AtTerminal(pid, master))
        return opened[-1]

    yield start
    for one in opened:
        one.end()


def runs(platform: Platform, app: str) -> list[str]:
    return [
        dyno["name"] for dyno in platform.api("GET", f"/apps/{app}/dynos").json() if dyno["type"] == "run"
    ]


def test_a_shell_at_a_terminal(platform: Platform, app: str, at_terminal: Callable[..., AtTerminal]) -> None:
    began = time.monotonic()
    shell = at_terminal("run", "-a", app, "-x", "bash --norc")
    shell.until(b"$ ")
    print(f"asked to prompt: {time.monotonic() - began:.2f} s")
    shell.type(b"stty size; echo $TERM $GREETING; tty\n")
    shell.until(b"/dev/pts/")
    assert b"33 111\r\n" in shell.seen
    assert b"xterm-256color hello there\r\n" in shell.seen
    shell.type(b"sh -c \"echo be''gun; exec sleep 600\"\n")
    shell.until(b"begun")
    shell.type(b"\x03")
    shell.type(b"exit 42\n")
    assert shell.wait() == 42
    until(lambda: not runs(platform, app), 20, "the run is over")
    log = paas(platform, "logs", "-a", app, "-n", "200").stdout.decode()
    assert "Starting process with command `bash --norc`" in log
    assert "hello there" not in log, "what is for one terminal is not logged"


def test_pipes_and_status(platform: Platform, app: str) -> None:
    data = os.urandom(300_000) + b"\x04 end"
    done = paas(platform, "run", "-a", app, "-x", "sha256sum; echo bad >&2; exit 3", stdin=data)
    import hashlib

    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{hashlib.sha256(data).hexdigest()}  -\nbad\n".encode()
    assert paas(platform, "run", "-a", app, "exit 3", stdin=b"").returncode == 0, "without -x it went well"
    missing = paas(platform, "run", "-a", app, "-x", "no-such-thing", stdin=b"")
    assert missing.returncode == 127


def test_who_leaves_ends_the_run(
    platform: Platform, app: str, at_terminal: Callable[..., AtTerminal]
) -> None:
    shell = at_terminal("run", "-a", app, "echo be''gun; sleep 600")
    shell.until(b"begun")
    assert len(runs(platform, app)) == 1
    os.kill(shell.pid, signal.SIGKILL)
    until(lambda: not runs(platform, app), 30, "the run is ended")


def test_entering_a_running_dyno(
    platform: Platform, app: str, at_terminal: Callable[..., AtTerminal]
) -> None:
    done = paas(
        platform, "ps:exec", "-a", app, "-x", "web.1", "--", "sh", "-c", "echo $DYNO; exit 6", stdin=b""
    )
    assert (done.returncode, done.stdout) == (6, b"web.1\n"), done.stderr
    shell = at_terminal("ps:exec", "-a", app, "web.1", "--", "sh")
    shell.until(b"$ ")
    shell.type(b"stty size; ls /proc/1/exe; tr '\\0' ' ' </proc/1/cmdline\n")
    shell.until(b"server.py")
    assert b"33 111\r\n" in shell.seen
    shell.type(b"exit\n")
    assert shell.wait() == 0
    refused = paas(platform, "ps:exec", "-a", app, "web.7", "--", "true", stdin=b"")
    assert refused.returncode == 1 and b"web.7" in refused.stderr


def test_a_gateway_that_restarts_ends_the_session_in_words(
    platform: Platform, app: str, at_terminal: Callable[..., AtTerminal]
) -> None:
    shell = at_terminal("run", "-a", app, "echo be''gun; sleep 600")
    shell.until(b"begun")
    assert platform.supervisor("restart", "gateway").returncode == 0
    assert shell.wait() == 1
    assert b"has ended before the command" in shell.seen
    until(lambda: not runs(platform, app), 30, "the run is ended")
    assert paas(platform, "run", "-a", app, "-x", "exit 5", stdin=b"").returncode == 5


def test_git_and_the_api_over_tls(platform: Platform, app: str, make_repository: Callable[..., Path]) -> None:
    port, authority = platform.port("PAAS_GATEWAY_PORT"), platform.home / "ca" / "ca.pem"
    with urllib.request.urlopen(f"http://localhost:{platform.port('PAAS_API_PORT')}/ca.pem") as answer:
        assert answer.read() == authority.read_bytes()
    repository = make_repository(files=plain("over tls"))
    told = platform.git_environ() | {"GIT_SSL_CAINFO": str(authority)}
    url = f"https://localhost:{port}/{app}.git"
    pushed = subprocess.run(
        ("git", "push", "--force", url, "main"),
        cwd=repository,
        env=told,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert pushed.returncode == 0, pushed.stderr
    assert "remote:" in pushed.stderr
    assert platform.get(app).text.startswith("over tls")
    commit(repository, "Large", {"large.bin": os.urandom(4_000_000).hex()})
    again = subprocess.run(("git", "push", url, "main"), cwd=repository, env=told, timeout=300, check=False)
    assert again.returncode == 0
    clone = repository.parent / "clone"
    subprocess.run(("git", "clone", "--quiet", url, clone), env=told, check=True, timeout=120)
    assert (clone / "large.bin").stat().st_size == 8_000_000
    refused = subprocess.run(
        ("git", "ls-remote", url), env=platform.git_environ(), capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0 and "certificate" in refused.stderr


def test_files_go_into_a_running_dyno_and_out_of_it(platform: Platform, app: str, tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    (tree / "sub").mkdir(parents=True)
    back.mkdir()
    # What a terminal would make signals and ends of, and a megabyte of anything.
    (tree / "sub" / "data").write_bytes(b"\x03\x04\xff\x04" * 1000 + os.urandom(1024 * 1024) + b"\x04")
    sent = paas(platform, "ps:copy", str(tree), "web.1:/app", "-a", app)
    assert sent.returncode == 0, sent
    owner = paas(platform, "ps:exec", "-a", app, "web.1", "--", "stat -c %u /app/tree/sub/data")
    assert owner.stdout.strip() == b"1000"
    got = paas(platform, "ps:copy", "/app/tree", str(back), "-a", app)
    assert got.returncode == 0, got
    assert (back / "tree" / "sub" / "data").read_bytes() == (tree / "sub" / "data").read_bytes()
    none = paas(platform, "ps:copy", "/app/none", str(back), "-a", app)
    assert (none.returncode, b"There is no /app/none" in none.stderr) == (1, True), none
    denied = paas(platform, "ps:copy", str(tree), "web.1:/etc/", "-a", app)
    assert (denied.returncode, b"denied" in denied.stderr) == (1, True), denied


def test_a_port_of_a_running_dyno_is_reached_by_many_at_once(platform: Platform, app: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tests.ports import free_port

    port = free_port()
    words = (sys.executable, "-m", "paas.cli.main", "ps:forward", f"{port}:8080", "-a", app)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=ROOT, env=environ(platform), stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert f"127.0.0.1:{port} is port 8080 of web.1" in process.stdout.readline()

            def fetch(_: int) -> int:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
                    return len(response.read()) and response.status

            with ThreadPoolExecutor(8) as threads:
                assert list(threads.map(fetch, range(24))) == [200] * 24
        finally:
            process.terminate()
    closed = paas(platform, "ps:forward", f"{port}:70000", "-a", app)
    assert (closed.returncode, b"no pair of ports" in closed.stderr) == (2, True), closed
