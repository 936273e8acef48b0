"""What a fetch from elsewhere may cost: bytes over ssh, time whatever the other side does."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas.controller.git import pulling
from paas.controller.git.limits import Limits
from paas.controller.git.pulling import Pulled, Remote, pull
from paas.oci.fetch import Cancelled
from paas.sources.addresses import Reach, parse_networks
from paas.sources.errors import SourceError
from paas.sources.http import Bounds, download
from paas.sources.urls import parse_git_url
from tests.source_server import SourceServer, git

pytestmark = pytest.mark.integration

REACH = Reach(parse_networks("127.0.0.0/8"))
TLS = b"\x16\x03\x03\x40\x00"  # the beginning of a handshake's record of 16 KiB
HEADERS = b"HTTP/1.1 200 OK\r\nX-Slow: "
LIMITS = Limits()
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


class Dripping(threading.Thread):
    """Answers one connection with `start`, then a byte now and then, until the other side has gone or 20 seconds."""

    def __init__(self, start: bytes) -> None:
        super().__init__(daemon=True)
        self.start_with, self.left_alone = start, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.place = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(self.start_with)
                until, never = time.monotonic() + 20, threading.Event()
                while time.monotonic() < until:
                    connection.sendall(b"x")
                    never.wait(0.02)
            except OSError:
                self.left_alone = True


@contextmanager
def dripping(start: bytes) -> Iterator[Dripping]:
    server = Dripping(start)
    server.start()
    try:
        yield server
    finally:
        server.join(30)
        server.listener.close()


@pytest.mark.parametrize(("scheme", "start"), [("http", HEADERS), ("https", TLS), ("http", BODY)])
def test_a_server_that_never_comes_to_an_end(scheme: str, start: bytes, tmp_path: Path) -> None:
    with dripping(start) as server, pytest.raises(SourceError, match="took longer than 0 seconds. Try again"):
        download(f"{scheme}://{server.place}/a.zip", tmp_path / "x", REACH, Bounds(seconds=0.4))
    assert server.left_alone


def test_nobody_waits_for_a_slow_download(tmp_path: Path) -> None:
    def wanted() -> None:
        raise Cancelled

    with dripping(BODY) as server, pytest.raises(Cancelled):
        download(f"http://{server.place}/a.zip", tmp_path / "x", REACH, wanted=wanted)
    assert server.left_alone


def pulled(url: str, folder: Path, limits: Limits = LIMITS) -> Pulled:
    folder.mkdir()
    remote = Remote(parse_git_url(url), REACH)
    return pull(remote, "main", folder, folder / "source.tar", limits, lambda: None)


def test_a_git_server_that_never_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "SECONDS", 0.4)
    with (
        dripping(HEADERS) as server,
        pytest.raises(SourceError, match="took longer than 0 seconds. Try again"),
    ):
        pulled(f"http://{server.place}/shop.git", tmp_path / "in")
    assert server.left_alone


class TestSsh:
    """The client is a program that runs the command here, by git's own upload-pack."""

    @pytest.fixture
    def client(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        programs = tmp_path / "bin"
        programs.mkdir()
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        return programs / "ssh"

    @pytest.fixture
    def repository(self, client: Path, tmp_path: Path) -> str:
        self.write(client, 'for last; do :; done\nGIT_PROTOCOL=version=2 exec sh -c "$last"')
        server = SourceServer(tmp_path)
        work = server.repository("shop", {"Procfile": "web: x"})
        (work / "big").write_bytes(os.urandom(200_000))
        server.commit(work, {})
        git(tmp_path / "shop.git", "config", "uploadpack.allowAnySHA1InWant", "true")
        return f"ssh://git@127.0.0.1{tmp_path}/shop.git"

    def write(self, client: Path, script: str) -> None:
        client.write_text(f"#!/bin/sh\n{script}\n")
        client.chmod(0o755)

    def test_a_commit(self, repository: str, tmp_path: Path) -> None:
        assert len(pulled(repository, tmp_path / "in").commit) == 40

    def test_what_comes_is_counted(self, repository: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="sends more than 50 KB for one commit") as raised:
            pulled(repository, tmp_path / "in", Limits(max_pack=50 << 10))
        assert raised.value.id == "source_too_large"

    def test_the_time_is_named(self, client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write(client, "exec sleep 30")
        monkeypatch.setattr(pulling, "SECONDS", 0.4)
        with pytest.raises(SourceError, match="took longer than 0 seconds. Try again"):
            pulled("ssh://git@127.0.0.1/shop.git", tmp_path / "in")
