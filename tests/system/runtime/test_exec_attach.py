"""Attaching to containers and running further processes in them, with conmon and crun."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime.container.port import EngineError, Execution
from runtime.model import ExecSpec, ExitReason

pytestmark = pytest.mark.system


def read_until(connection: socket.socket, wanted: bytes, seconds: float = 15) -> bytes:
    """Return what came until `wanted` was in it, without the channel bytes."""
    connection.settimeout(seconds)
    seen = b""
    while wanted not in seen:
        packet = connection.recv(65536)
        assert packet, f"the end came before {wanted!r}: {seen!r}"
        seen += packet[1:]
    return seen


def read_all(connection: socket.socket, seconds: float = 15) -> dict[int, bytes]:
    """Return everything up to the end, by channel."""
    connection.settimeout(seconds)
    seen: dict[int, bytes] = {}
    while packet := connection.recv(65536):
        seen[packet[0]] = seen.get(packet[0], b"") + packet[1:]
    return seen


def test_a_terminal_has_a_size_survives_its_clients_and_ends_with_a_status(host: Any) -> None:
    spec = host.spec("/bin/sh", tty=True, stdin=True, env={"PS1": "$ "})
    host.engine.create(spec)
    first = host.engine.attach(spec.id)
    host.engine.resize(spec.id, 33, 111)
    host.engine.start(spec.id)
    with first:
        first.send(b"stty size; tty; id -u\n")
        assert b"/dev/pts/0\r\n1000\r\n" in (seen := read_until(first, b"1000\r\n"))
        assert b"33 111\r\n" in seen
    with host.engine.attach(spec.id) as again, host.engine.attach(spec.id) as witness:
        again.send(b"x=4; echo $((x+1))again\n")
        read_until(again, b"5again")
        read_until(witness, b"5again")
        again.send(
            b"sh -c \"trap 'echo size \\$(stty size)' WINCH; echo set; while :; do sleep 0.1; done\"\n"
        )
        read_until(again, b"set\r\n")
        host.engine.resize(spec.id, 50, 132)
        read_until(again, b"size 50 132")
        again.send(b"\x03")
        again.send(b"exit 7\n")
        read_all(again)
    ended, _ = host.finish(spec.id)
    host.engine.delete(spec.id)
    assert (ended.reason, ended.code) == (ExitReason.EXITED, 7)


def test_a_pipe_ends_when_its_writer_says_so(host: Any) -> None:
    spec = host.spec("/bin/sh", "-c", "cat; echo done; echo bad >&2; exit 3", stdin=True, logged=False)
    host.engine.create(spec)
    with host.engine.attach(spec.id) as client:
        host.engine.start(spec.id)
        client.send(b"hello\n")
        read_until(client, b"hello\n")
        client.shutdown(socket.SHUT_WR)
        seen = read_all(client)
    ended = host.engine.wait(spec.id, 15)
    assert seen == {2: b"done\n", 3: b"bad\n"}
    assert ended.code == 3
    assert not host.engine.log_path(spec.id).exists(), "its output is for its clients alone"
    host.engine.delete(spec.id)


@pytest.fixture
def sleeper(host: Any) -> Iterator[str]:
    container = host.start("/bin/sleep", "600", env={"SECRET": "a b"}, cwd="/tmp")
    yield container
    host.engine.delete(container)


def finish(execution: Execution, seconds: float = 15) -> tuple[int, bytes, bytes]:
    """Read both streams to their end; return the status too."""
    seen = {descriptor: b"" for descriptor in (execution.stdout, execution.stderr) if descriptor >= 0}
    open_ones, deadline = set(seen), time.monotonic() + seconds
    try:
        while open_ones:
            ready, _, _ = select.select(open_ones, [], [], deadline - time.monotonic())
            assert ready, f"no end: {seen}"
            for descriptor in ready:
                try:
                    chunk = os.read(descriptor, 65536)
                except OSError:  # a terminal whose last user has gone
                    chunk = b""
                seen[descriptor] += chunk
                if not chunk:
                    open_ones.discard(descriptor)
        code = execution.wait(seconds)
        assert code is not None
        return code, seen[execution.stdout], seen.get(execution.stderr, b"")
    finally:
        execution.end()


def run(host: Any, container: str, *argv: str, **changes: object) -> tuple[int, bytes, bytes]:
    return finish(host.engine.execute(container, ExecSpec(argv=argv, **changes)))


def test_an_exec_is_in_the_same_sandbox_with_the_same_environment(host: Any, sleeper: str) -> None:
    script = 'echo "$SECRET,$EXTRA,$PWD,$(id -u)"; grep -E "^(NoNewPrivs|Seccomp|CapEff|CapBnd):" /proc/self/status'
    code, out, err = run(host, sleeper, "/bin/sh", "-c", script, env={"EXTRA": "e"})
    assert (code, err) == (0, b"")
    first, *facts = out.decode().splitlines()
    assert first == "a b,e,/tmp,1000"
    assert [fact.split()[1] for fact in facts] == ["0" * 16, "0" * 16, "1", "2"]
    code, out, _ = run(host, sleeper, "/bin/sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; ulimit -c")
    assert b"/bin/sleep 600" in out
    assert out.endswith(b"0\n")
    code, out, err = run(host, sleeper, "/usr/bin/unshare", "-U", "true")
    assert code != 0, "the system call filter is on"


def test_an_exec_has_both_streams_a_half_close_and_a_status(host: Any, sleeper: str) -> None:
    execution = host.engine.execute(sleeper, ExecSpec(argv=("/bin/sh", "-c", "cat; echo bad >&2; exit 5")))
    os.write(execution.stdin, b"hello")
    execution.close_stdin()
    assert finish(execution) == (5, b"hello", b"bad\n")
    assert run(host, sleeper, "/bin/sh", "-c", "kill -9 $$")[0] == 137


def test_an_exec_on_a_terminal(host: Any, sleeper: str) -> None:
    spec = ExecSpec(
        argv=("/bin/sh", "-c", "tty; stty size; read x; stty size; exit 6"), tty=True, rows=24, columns=99
    )
    execution = host.engine.execute(sleeper, spec)
    assert execution.tty
    execution.resize(44, 122)
    os.write(execution.stdin, b"\n")
    code, out, _ = finish(execution)
    assert code == 6
    assert b"/dev/pts/0\r\n" in out
    assert out.endswith(b"44 122\r\n")


def test_what_cannot_be_run_is_said_in_words_and_leaves_nothing(host: Any, sleeper: str) -> None:
    for tty in (False, True):
        with pytest.raises(EngineError, match="could not be run.*no-such"):
            host.engine.execute(sleeper, ExecSpec(argv=("no-such",), tty=tty))
    with pytest.raises(EngineError, match="Say which command"):
        host.engine.execute(sleeper, ExecSpec(argv=("",)))
    bundle = host.engine._layout.bundle(sleeper)
    assert host.engine._mounts.call(lambda: list(bundle.glob("exec-*"))) == []


def test_the_end_of_an_exec_takes_its_children_along(host: Any, sleeper: str) -> None:
    script = "trap '' HUP; sleep 300 & echo $!; wait"
    execution = host.engine.execute(sleeper, ExecSpec(argv=("/bin/sh", "-c", script)))
    os.read(execution.stdout, 100)
    execution.end()
    code, out, _ = run(host, sleeper, "/bin/sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert b"sleep 300" not in out
    assert b"sleep 600" in out


def test_an_exec_whose_agent_was_killed_is_ended_by_the_next(open_host: Callable[..., Any]) -> None:
    host = open_host()
    container = host.start("/bin/sleep", "600")
    execution = host.engine.execute(container, ExecSpec(argv=("/bin/sleep", "300")))
    host.engine.close(remove=False)
    host.engine.open()
    assert execution.wait(10) == 128 + signal.SIGHUP
    execution.end()
    assert host.engine.wait(container, 0) is None, "the container goes on"
    host.engine.delete(container)
