"""Attach and exec through a real agent: terminals, several clients, what ends a session and what does not."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import AGENT_TOKEN, eventually, in_state
from test_agent_real import RealAgent, agent, container, controller  # noqa: F401

from runtime import attach
from runtime.attach import AttachError, Attachment, InputEnd, Resize, SendSignal
from runtime.client import AgentClient
from runtime.model import (
    ExecSpec,
    ExitReason,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    InstanceState,
    JobSpec,
    JobState,
    WantedState,
)

pytestmark = pytest.mark.system
SECONDS = 20


def base(one: RealAgent) -> str:
    return f"http://{(one.home / 'agent' / 'address').read_text()}"


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 90))


async def joined(one: RealAgent, id_: str, **query: Any) -> Attachment:
    return await attach.attach(base(one), AGENT_TOKEN, attach.attach_path(id_, **query))


class Screen:
    """What a session has printed so far."""

    def __init__(self, session: Attachment) -> None:
        self.session = session
        self.seen: dict[int, bytes] = {1: b"", 2: b""}
        self._output = session.output()

    async def until(self, wanted: bytes) -> None:
        async with asyncio.timeout(SECONDS):
            while wanted not in self.seen[1]:
                channel, data = await anext(self._output)
                self.seen[channel] += data

    async def rest(self) -> int | None:
        async with asyncio.timeout(SECONDS):
            async for channel, data in self._output:
                self.seen[channel] += data
        assert self.session.ended is not None
        return self.session.ended.code


def attended(id_: str, *argv: str, tty: bool = False, seconds: float = 30) -> JobSpec:
    spec = container(id_, *argv, tty=tty, stdin=True, logged=False, name=f"run.{id_[-1]}", env={"PS1": "$ "})
    return JobSpec(container=spec, attach_seconds=seconds)


def test_an_attended_run_on_a_terminal(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    client.put_job(attended("r1", "/bin/sh", tty=True))

    async def story() -> None:
        session = await joined(agent, "r1", first=True, rows=33, columns=111)
        screen = Screen(session)
        await session.write(b"stty size\n")
        await screen.until(b"33 111\r\n")
        with pytest.raises(AttachError, match="attached to this process before"):
            await joined(agent, "r1", first=True)
        watcher = Screen(await joined(agent, "r1"))
        await session.write(
            b"sh -c \"trap 'echo size \\$(stty size)' WINCH; echo set; while :; do sleep 0.1; done\"\n"
        )
        await screen.until(b"set\r\n")
        await session.control(Resize(rows=50, columns=132))
        await screen.until(b"size 50 132")
        await watcher.until(b"size 50 132")
        await session.write(b"\x03")
        await session.write(b"exit 7\n")
        assert (await screen.rest(), await watcher.rest()) == (7, 7)
        await session.close()
        await watcher.session.close()

    run(story())
    status = client.job("r1", wait=10)
    assert (status.state, status.exit.code) == (JobState.FAILED, 7)


def test_a_half_close_reaches_a_pipe_and_both_streams_come_back(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    client.put_job(attended("r1", "/bin/sh", "-c", "wc -c; echo bad >&2; exit 3"))

    async def story() -> None:
        session = await joined(agent, "r1")
        await session.write(b"x" * 3_000_000)
        await session.control(InputEnd())
        screen = Screen(session)
        assert await screen.rest() == 3
        assert screen.seen == {1: b"3000000\n", 2: b"bad\n"}
        await session.close()

    run(story())
    texts = [line.text for line in client.logs("r1", follow=False)]
    assert "bad" not in texts, "what is for the client alone is not logged"
    assert "Process exited with status 3" in texts


def test_a_run_that_nobody_attends_is_never_started(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    client.put_job(attended("r1", "/bin/sh", "-c", "echo ran > /app/x", seconds=1))
    status = client.job("r1", wait=20)
    assert (status.state, status.exit.reason) == (JobState.FAILED, ExitReason.CANCELLED)
    assert "nobody attached within 1 seconds" in status.message


def test_a_run_is_hung_up_when_its_client_leaves(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    client.put_job(attended("r1", "/bin/sh", "-c", "echo here; sleep 600", tty=True))
    client.put_job(attended("r2", "/bin/sh", "-c", "trap '' HUP; echo here; sleep 600 & wait; wait"))

    async def story() -> None:
        for id_ in ("r1", "r2"):
            session = await joined(agent, id_)
            await Screen(session).until(b"here")
            await session.close()

    run(story())
    for id_ in ("r1", "r2"):
        status = client.job(id_, wait=20)
        assert (status.state, status.exit.reason) == (JobState.FAILED, ExitReason.CANCELLED), status
        assert "left" in status.message
    assert client.job("r1").exit.signal == signal.SIGHUP


def sleeper(id_: str = "i1") -> InstanceSpec:
    script = "echo up; while :; do sleep 0.2; echo tick; done"
    return InstanceSpec(
        container=container(id_, "/bin/sh", "-c", script, env={"SECRET": "s"}),
        health=HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.1),
    )


def test_execs_beside_an_instance(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(sleeper(),)))
    in_state(client, "i1", InstanceState.UP, 20)

    async def one(number: int) -> None:
        script = f"echo $SECRET {number}; cat; echo bad >&2; exit {number}"
        session = await attach.execute(
            base(agent), AGENT_TOKEN, "i1", ExecSpec(argv=("/bin/sh", "-c", script))
        )
        await session.write(b"in")
        await session.control(InputEnd())
        screen = Screen(session)
        assert await screen.rest() == number
        assert screen.seen == {1: f"s {number}\nin".encode(), 2: b"bad\n"}
        await session.close()

    async def story() -> None:
        await asyncio.gather(*(one(number) for number in range(8)))
        spec = ExecSpec(
            argv=("/bin/sh", "-c", "trap 'echo got; exit 9' USR1; echo set; while :; do sleep 0.1; done")
        )
        session = await attach.execute(base(agent), AGENT_TOKEN, "i1", spec)
        screen = Screen(session)
        await screen.until(b"set")
        await session.control(SendSignal(number=signal.SIGUSR1))
        assert await screen.rest() == 9
        await session.close()
        session = await attach.execute(
            base(agent), AGENT_TOKEN, "i1", ExecSpec(argv=("sh", "-c", "sleep 4 & echo"))
        )
        assert await Screen(session).rest() == 0, "children that keep the pipe do not keep the session"
        await session.close()
        for argv, words in ((("no-such",), "no-such"), ((), "which command")):
            with pytest.raises(AttachError, match=words):
                await attach.execute(base(agent), AGENT_TOKEN, "i1", ExecSpec(argv=argv))
        with pytest.raises(AttachError, match="no container"):
            await attach.execute(base(agent), AGENT_TOKEN, "i9", ExecSpec(argv=("true",)))
        watcher = await joined(agent, "i1")
        await Screen(watcher).until(b"tick")
        await watcher.close()

    run(story())
    eventually(lambda: client.usage("i1").pids <= 3, what="ended processes count against the limit")
    assert in_state(client, "i1", InstanceState.UP, 5).restarts == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_session_ends_in_words_when_the_agent_goes_and_the_process_lives_on(
    agent: RealAgent,  # noqa: F811
    number: signal.Signals,
) -> None:
    client = agent.start()
    client.put_job(attended("r1", "/bin/sh", tty=True))
    client.put_wanted(WantedState(generation=1, instances=(sleeper(),)))
    in_state(client, "i1", InstanceState.UP, 20)

    async def first() -> None:
        session = await joined(agent, "r1")
        screen = Screen(session)
        await session.write(b"x=kept; echo o''k\n")
        await screen.until(b"ok\r\n")
        other = await attach.execute(base(agent), AGENT_TOKEN, "i1", ExecSpec(argv=("/bin/sleep", "555")))
        agent.process.send_signal(number)
        words = "being restarted" if number is signal.SIGTERM else "connection to the host was lost"
        with pytest.raises(AttachError, match=words):
            await screen.rest()
        with pytest.raises(AttachError, match=words):
            await Screen(other).rest()
        await session.close()
        await other.close()

    async def second() -> None:
        session = await joined(agent, "r1")
        screen = Screen(session)
        await session.write(b"echo $x again; exit 4\n")
        await screen.until(b"kept again")
        assert await screen.rest() == 4
        await session.close()

    run(first())
    agent.process.wait(20)
    client = agent.start()
    run(second())
    assert client.job("r1", wait=10).exit.code == 4
    eventually(lambda: client.usage("i1").pids <= 3, 20)


def on_terminal(one: RealAgent, *words: str) -> tuple[int, int]:
    """Start `python -m runtime` on a terminal of 33 by 111; return its pid and the terminal."""
    environment = {**one.environment, "TERM": "xterm"}
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(Path(__file__).parents[3])
        os.execve(sys.executable, [sys.executable, "-m", "runtime", *words], environment)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    return pid, master


def read_until(master: int, wanted: bytes, seconds: float = SECONDS) -> bytes:
    seen, deadline = b"", time.monotonic() + seconds
    while wanted not in seen:
        assert select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0], seen
        try:
            seen += os.read(master, 4096)
        except OSError:
            break
    assert wanted in seen, seen
    return seen


def test_the_command_line_gives_a_real_terminal(agent: RealAgent) -> None:  # noqa: F811
    client: AgentClient = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(sleeper(),)))
    in_state(client, "i1", InstanceState.UP, 20)
    pid, master = on_terminal(agent, "exec", "i1", "--", "/bin/sh")
    try:
        read_until(master, b"$ ")
        os.write(master, b"stty size; tty\r")
        assert b"/dev/pts/0" in (seen := read_until(master, b"/dev/pts/0"))
        assert b"33 111" in seen
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
        os.kill(pid, signal.SIGWINCH)
        os.write(master, b"while [ \"$(stty size)\" != '44 122' ]; do sleep 0.05; done; echo re''sized\r")
        read_until(master, b"resized")
        os.write(master, b"sh -c \"echo be''gun; exec sleep 600\"\r")
        read_until(master, b"begun")
        os.write(master, b"\x03")
        os.write(master, b"exit 5\r")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    finally:
        os.close(master)
    done = agent.command("exec", "i1", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 6")
    assert (done.returncode, done.stdout, done.stderr) == (6, "out\n", "err\n")
