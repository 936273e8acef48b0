"""HAProxy's command line. In: one command for the master or a worker. Out: the text it answers.

Every command has its own connection to the master's socket (0.3 ms), so an answer belongs to its command. The home is
opened as a directory and addressed through /proc/self/fd: Unix socket paths may have 107 bytes at most.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

from paas.router.diff import Command
from paas.router.render import MASTER_SOCKET

CURRENT = "@1"


class HaproxyError(Exception):
    """HAProxy could not do something. `str(error)` says what and, where known, what to do next."""


@dataclass(frozen=True)
class Processes:
    """What `show proc` tells: process ids of the master, the worker that serves, and those that finish old requests.

    `failed` counts the reloads that failed since the last good one.
    """

    master: int
    worker: int
    old: tuple[int, ...] = ()
    failed: int = 0


class MasterLine:
    """The master socket in a router's home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def ask(self, command: str, *, timeout: float = 5.0) -> str:
        """Return the answer. Raises HaproxyError when nobody listens or no answer comes in time."""
        directory = os.open(self._home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            async with asyncio.timeout(timeout):
                return await _exchange(f"/proc/self/fd/{directory}/{MASTER_SOCKET}", command)
        except (OSError, TimeoutError) as error:
            raise HaproxyError(f"HAProxy does not answer on {MASTER_SOCKET}: {error or 'timeout'}") from error
        finally:
            os.close(directory)

    async def run(self, command: Command) -> None:
        """Have the serving worker do something. Raises HaproxyError with HAProxy's words if it refuses."""
        answer = (await self.ask(f"{CURRENT} {command.text}")).strip()
        if (command.success and command.success not in answer) or (not command.success and answer):
            raise HaproxyError(f"HAProxy refused `{command.text}`: {answer or 'no answer'}")

    async def processes(self) -> Processes | None:
        """Return HAProxy's processes, or None when it does not run or is just reloading."""
        try:
            return parse_processes(await self.ask("show proc"))
        except HaproxyError:
            return None


async def _exchange(path: str, command: str) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(command.encode() + b"\n")
        writer.write_eof()
        return (await reader.read()).decode(errors="replace")
    finally:
        writer.close()


def parse_processes(text: str) -> Processes | None:
    """Read `show proc`. None when there is no worker."""
    master, failed = 0, 0
    workers: list[int] = []
    old: list[int] = []
    current = workers
    for line in text.splitlines():
        if line.startswith("# "):
            current = old if line.startswith("# old workers") else workers
        words = line.split()
        if len(words) > 1 and words[1] == "master":
            master = int(words[0])
            failure = re.search(r"\[failed: (\d+)\]", line)
            failed = int(failure[1]) if failure else 0
        elif len(words) > 1 and words[1] == "worker":
            current.append(int(words[0]))
    return Processes(master, workers[0], tuple(old), failed) if master and workers else None
