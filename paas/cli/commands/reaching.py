"""Files and ports of a running dyno.

In: a dyno, paths, ports.  Out: files copied; a local listener until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure, Usage
from paas.cli.output import remark, say

RENEW_SECONDS = 1200.0  # an address for a port is good for an hour; whoever has lost the app gets no new one
DYNO = click.option("-d", "--dyno", default="web.1", show_default=True, help="Which dyno.")


@command(
    click.argument("source", metavar="PATH|DYNO:/PATH"),
    click.argument("target", required=False, default=".", metavar="[DYNO:/PATH|PATH]"),
    DYNO,
    app=True,
    help="Copy a file or folder out of a running dyno (ps:copy /app/file .) or into it (ps:copy file web.1:/app).",
)
def copy(call: Call, source: str, target: str, dyno: str) -> None:
    from runtime.copying import CopyError, is_there

    inner, outer, into = places(source, target, dyno)
    if into:
        try:
            is_there(outer)
        except CopyError as error:
            raise Usage(str(error)) from error
    body = {"path": inner[1], "into": into}
    made = call.api.post(f"{call.path}/dynos/{inner[0]}/copies", body)
    authority = call.api.text("/ca.pem")
    status = asyncio.run(_copy(made["attach_url"], authority, outer, into=into))
    if status:
        raise click.exceptions.Exit(status)
    call.show({}, lambda: say(f"Copied {source} to {target}."))


def places(source: str, target: str, dyno: str) -> tuple[tuple[str, str], str, bool]:
    """Return the dyno and the path in it, the path here, and whether it goes in. Raises Usage. Pure."""
    there, here = split_place(source), split_place(target)
    if there and here:
        raise Usage("Only one of both can be in a dyno.")
    if here:
        return here, source, True
    if there or source.startswith("/"):
        return there or (dyno, source), target, False
    raise Usage("Say where in the dyno: paas ps:copy /app/file . or paas ps:copy file web.1:/app/file")


def split_place(text: str) -> tuple[str, str] | None:
    name, colon, path = text.partition(":")
    return (name, path) if colon and path.startswith("/") and name and "/" not in name else None


async def _copy(url: str, authority: str, path: str, *, into: bool) -> int:
    from paas.cli.framed import open_framed
    from runtime.copying import CopyError, receive_files, send_files

    session = await open_framed(url, authority)
    try:
        if not into:
            await receive_files(session.output(), path)
            return session.code or 0
        sending = asyncio.ensure_future(send_files(path, session.send, lambda: session.send(b"")))
        try:
            async for _, data in session.output():
                sys.stderr.write(data.decode(errors="replace"))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return session.code or 0
    except CopyError as error:
        raise Failure(str(error)) from error
    finally:
        await session.close()


@command(
    click.argument("ports", nargs=-1, required=True, metavar="LOCAL[:REMOTE]..."),
    DYNO,
    app=True,
    help="Join local ports to ports inside a running dyno, until Ctrl-C: paas ps:forward 9229",
)
def forward(call: Call, ports: tuple[str, ...], dyno: str) -> None:
    from runtime.forwarding import parse_ports

    try:
        pairs = [parse_ports(text) for text in ports]
    except ValueError as error:
        raise Usage(str(error)) from error
    asyncio.run(_forward(call, dyno, pairs))


async def _forward(call: Call, dyno: str, pairs: list[tuple[int, int]]) -> None:
    from runtime.forwarding import serve

    authority = call.api.text("/ca.pem")
    for local, remote in pairs:
        addresses = Addresses(call, dyno, remote)
        addresses.get()  # whether it can be reached at all is said before anybody connects
        try:
            await serve("127.0.0.1", local, opener(addresses, authority), remark)
        except OSError as error:
            raise Failure(f"Port {local} cannot be listened on here: {error.strerror}.") from error
        say(f"127.0.0.1:{local} is port {remote} of {dyno} of {call.app}. Ctrl-C ends it.")
    await asyncio.Event().wait()


class Addresses:
    """The address for a port, asked for anew before it is too old."""

    def __init__(self, call: Call, dyno: str, port: int) -> None:
        self._call, self._dyno, self._port = call, dyno, port
        self._url, self._since = "", 0.0

    def get(self) -> str:
        if not self._url or time.monotonic() - self._since > RENEW_SECONDS:
            path = f"{self._call.path}/dynos/{self._dyno}/ports"
            self._url = self._call.api.post(path, {"port": self._port})["attach_url"]
            self._since = time.monotonic()
        return self._url


def opener(addresses: Addresses, authority: str) -> Any:
    async def open_link() -> Any:
        from paas.cli.framed import open_framed

        try:
            return await open_framed(await asyncio.to_thread(addresses.get), authority)
        except Failure as error:
            raise OSError(error.message) from error

    return open_link
