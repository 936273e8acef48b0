"""Ports and files of a running container, by the runtime's commands over a real agent."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import eventually, in_state
from test_agent_real import ROOT, RealAgent, agent, container, controller  # noqa: F401

from runtime.client import AgentClient
from runtime.model import HealthCheck, HealthKind, InstanceSpec, InstanceState, Limits, WantedState
from tests.ports import free_port

pytestmark = pytest.mark.system
MIB = 1024**2

# Sends back what it got, once its client has ended its direction: only with a half-close on the way.
ECHO = """
import socket, threading
def serve(one):
    with one:
        data = b""
        while piece := one.recv(65536):
            data += piece
        one.sendall(b"got " + str(len(data)).encode() + b" " + data[-5:])
door = socket.create_server(("127.0.0.1", 7000), backlog=64)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""


def start(agent: RealAgent) -> AgentClient:  # noqa: F811
    client = agent.start()
    limits = Limits(memory_bytes=128 * MIB, writable_bytes=48 * MIB, tmp_bytes=8 * MIB)
    spec = container("i1", "/usr/bin/python3", "-c", ECHO, limits=limits)
    health = HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.2)
    client.put_wanted(WantedState(generation=1, instances=(InstanceSpec(container=spec, health=health),)))
    in_state(client, "i1", InstanceState.UP, 20)
    eventually(lambda: any(line.text == "ready" for line in client.logs("i1", follow=False)), 20)
    return client


@contextmanager
def forwarding(agent: RealAgent, *ports: str) -> Iterator[subprocess.Popen[str]]:  # noqa: F811
    command = [sys.executable, "-m", "runtime", "forward", "i1", *ports]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=agent.environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert "is port" in process.stdout.readline()
            yield process
        finally:
            process.kill()


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(20)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_many_connections_to_what_listens_on_loopback_only_each_half_closed(agent: RealAgent) -> None:  # noqa: F811
    start(agent)
    port, closed = free_port(), free_port()
    with forwarding(agent, f"{port}:7000") as process:
        assert ask(port, b"x" * 300_000 + b"fghij") == b"got 300005 fghij"
        connections = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(20)]
        for number, one in enumerate(connections):
            one.sendall(f"number {number:05d}".encode())
        for number, one in reversed(list(enumerate(connections))):
            one.settimeout(20)
            one.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda one=one: one.recv(999), b"")) == f"got 12 {number:05d}".encode()
            one.close()
        assert process.poll() is None
    with forwarding(agent, f"{closed}:7001") as process:
        assert ask(closed, b"") == b""
        assert "Nothing in i1 listens on port 7001" in process.stderr.readline()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_files_and_folders_go_in_and_out_as_the_apps_user(agent: RealAgent, tmp_path: Path) -> None:  # noqa: F811
    start(agent)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(24 * MIB))
    assert agent.command("cp", str(big), "i1:/app/copy").returncode == 0
    listed = agent.command(
        "exec", "i1", "--", "/bin/sh", "-c", "stat -c '%u %s' /app/copy; sha256sum /app/copy"
    )
    assert listed.stdout.split()[:3] == ["1000", str(24 * MIB), digest(big)]
    assert agent.command("cp", "i1:/app/copy", str(tmp_path / "back")).returncode == 0
    assert digest(tmp_path / "back") == digest(big)
    assert agent.command("exec", "i1", "--", "/bin/rm", "/app/copy").returncode == 0

    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_text("deep")
    (tree / "link").symlink_to("sub/file")
    assert agent.command("cp", str(tree), "i1:/app").returncode == 0
    shown = agent.command("exec", "i1", "--", "/bin/cat", "/app/tree/link")
    assert shown.stdout == "deep"
    (tmp_path / "out").mkdir()
    assert agent.command("cp", "i1:/app/tree", str(tmp_path / "out")).returncode == 0
    assert (tmp_path / "out" / "tree" / "link").read_text() == "deep"

    for target, words in (("/etc/x", "denied"), ("/none/x", "no folder")):
        refused = agent.command("cp", str(tree / "sub" / "file"), f"i1:{target}")
        assert (refused.returncode, words in refused.stderr) == (1, True), refused
    gone = agent.command("cp", "i1:/app/none", str(tmp_path))
    assert (gone.returncode, "There is no /app/none" in gone.stderr) == (1, True), gone


def test_a_copy_stays_within_the_limits_and_the_app_goes_on(agent: RealAgent, tmp_path: Path) -> None:  # noqa: F811
    client = start(agent)
    big = tmp_path / "big"
    big.write_bytes(b"\0" * (16 * MIB))
    full = agent.command("cp", str(big), "i1:/tmp/big")
    assert (full.returncode, "No space left" in full.stderr) == (1, True), full
    found = client.inspect("i1")
    assert (found.state, found.restarts) == ("up", 0)


def test_what_a_tenant_made_cannot_write_outside_the_folder(agent: RealAgent, tmp_path: Path) -> None:  # noqa: F811
    """Links out of it are left out; a secret of the host, or of the container's root user, is not read."""
    start(agent)
    make = (
        "mkdir /app/t && cd /app/t && ln -s /etc/shadow s && ln -s ../../../x up && mkfifo f && echo ok > ok"
    )
    assert agent.command("exec", "i1", "--", "/bin/sh", "-c", make).returncode == 0
    copied = agent.command("cp", "i1:/app/t", str(tmp_path))
    assert copied.returncode == 0
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["ok"]
    assert copied.stderr.count("is left out") == 3
    assert agent.command("cp", "i1:/proc/1/environ", str(tmp_path / "e")).returncode in (0, 1)
    inner = agent.command("cp", "i1:/etc/hostname", str(tmp_path / "h"))
    assert inner.returncode == 0
    assert (tmp_path / "h").read_text() != Path("/etc/hostname").read_text()
