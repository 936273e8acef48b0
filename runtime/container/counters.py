"""Counters of the kernel that are not one number per file.

In: the text of cgroup files and the directories of interfaces.  Out: bytes and seconds.
Formats: cgroup-v1/blkio-controller.rst, cgroup-v2.rst, accounting/psi.rst in the kernel's Documentation.
"""

from __future__ import annotations

import os
from pathlib import Path

INTERFACES = Path("/sys/class/net")


def parse_io_v1(text: str) -> tuple[int, int]:
    """Sum bytes read and written over all devices of blkio.throttle.io_service_bytes. Pure."""
    rows = [line.split() for line in text.splitlines()]
    return _sum(rows, "Read"), _sum(rows, "Write")


def parse_io_v2(text: str) -> tuple[int, int]:
    """Sum bytes read and written over all devices of io.stat. Pure."""
    pairs = [word.partition("=") for word in text.split()]
    read = sum(int(value) for name, _, value in pairs if name == "rbytes" and value.isdigit())
    return read, sum(int(value) for name, _, value in pairs if name == "wbytes" and value.isdigit())


def parse_pressure(text: str) -> float | None:
    """Return for how many seconds some task waited (PSI), None when the kernel does not tell. Pure."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["some"] and words[-1].startswith("total="):
            return int(words[-1].removeprefix("total=")) / 1e6
    return None


def pressure_seconds(group: Path, kind: str) -> float | None:
    """The pressure on `cpu`, `memory` or `io` in a v2 group."""
    return parse_pressure(read(group / f"{kind}.pressure"))


def interface_bytes(name: str, interfaces: Path = INTERFACES) -> tuple[int, int]:
    """Bytes that a container received and sent, from the host's end of its veth pair: there they are the other way."""
    counters = interfaces / name / "statistics"
    received, sent = read(counters / "tx_bytes").strip(), read(counters / "rx_bytes").strip()
    return int(received or 0), int(sent or 0)


def filesystem_bytes(path: str) -> tuple[int, int]:
    """Bytes used and bytes in all of the file system at `path`, (0, 0) when it is gone."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 0, 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_blocks * found.f_frsize


def read(file: Path) -> str:
    """Return the text of a file that the kernel may not offer, '' then."""
    try:
        return file.read_text()
    except OSError:
        return ""


def _sum(rows: list[list[str]], kind: str) -> int:
    return sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == kind and row[2].isdigit())
