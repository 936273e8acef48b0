"""Who holds a port. In: addresses to bind, the process that may hold them already. Out: the first one that is taken.

A HAProxy that reloads and cannot bind makes its predecessor pause its own listeners while it tries again: it must not
come to that.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from pathlib import Path

from paas.router.config import HostPort

LISTEN = "0A"  # state in /proc/net/tcp, proc(5)


def first_taken(binds: Iterable[HostPort], holder: int) -> HostPort | None:
    """Return the first address that cannot be bound, leaving out ports on which process `holder` listens."""
    held = ports_of(holder)
    return next((bind for bind in binds if bind.port not in held and not bindable(bind)), None)


def bindable(bind: HostPort) -> bool:
    """Tell whether an address is free. One that this host does not have is for HAProxy to complain about."""
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if bind.host == "*" else bind.host, bind.port))
            probe.listen(1)
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def ports_of(pid: int) -> frozenset[int]:
    """Return the TCP ports on which a process listens."""
    inodes = _socket_inodes(pid)
    rows = (line.split() for name in ("tcp", "tcp6") for line in _lines(f"/proc/{pid}/net/{name}")[1:])
    return frozenset(
        int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTEN and row[9] in inodes
    )


def _socket_inodes(pid: int) -> frozenset[str]:
    found: set[str] = set()
    with contextlib.suppress(OSError):  # the process has ended
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it has closed this one meanwhile
                found.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    return frozenset(found)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
