"""What every level of tests shares.

In: the machine.  Out: fixtures for free ports, short folders and a real Redis; nothing stays behind.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ports


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for unix sockets (107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Give N ports of the loopback address that are free, all different."""
    return ports.free_ports


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """A real Redis on the socket that the settings name; its URL."""
    from django.conf import settings

    home = settings.PAAS.home
    (home / "run").mkdir(parents=True, exist_ok=True)
    path = home / "run" / "redis.sock"
    arguments = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(home)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        _await_answer(path, server)
        yield settings.REDIS_URL
    finally:
        server.terminate()
        server.wait(10)


def _await_answer(path: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
                client.sendall(b"PING\r\n")
                if client.recv(16).startswith(b"+PONG"):
                    return
            except OSError:
                time.sleep(0.02)
    raise RuntimeError("Redis did not start; is redis-server installed? (script/setup test)")
