"""Single files of a source tar, without unpacking it. Runs in the platform.

In: the tar of a commit, paths.  Out: the content of those that are there.
Every push passes here: so headers are walked, and no object is made of each member as tarfile does.
"""

from __future__ import annotations

import mmap
import tarfile
from collections.abc import Collection
from pathlib import Path

BLOCK = 512
SIZE_MAX = 256 * 1024


class Unreadable(ValueError):
    """An archive that is none."""


def read_files(tar: Path, names: Collection[str], most: int = SIZE_MAX) -> dict[str, bytes]:
    """Return the files of these paths. Raises ValueError for one that is too large, Unreadable for no archive."""
    try:
        with tar.open("rb") as file:
            plain = file.read(BLOCK)[257:262] == b"ustar"
        found = _walk(tar, names) if plain else _slowly(tar, names)
    except (OSError, ValueError, tarfile.TarError, EOFError) as error:
        raise Unreadable(f"The source archive cannot be read: {error}.") from error
    for name, data in found.items():
        if len(data) > most:
            raise ValueError(f"{name} has {len(data)} bytes; at most {most} are read.")
    return found


def _walk(tar: Path, names: Collection[str]) -> dict[str, bytes]:
    wanted = {name.encode(): name for name in names}
    found: dict[str, bytes] = {}
    with tar.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = 0
        while place + BLOCK <= len(data) and data[place]:
            header = data[place : place + BLOCK]
            size, kind = _number(header[124:136]), header[156:157]
            if size < 0:
                raise ValueError("a member has a negative size")
            path = header[:100].rstrip(b"\0").removeprefix(b"./")
            prefix = header[345:500].rstrip(b"\0").removeprefix(b"./")
            path = prefix + b"/" + path if prefix else path
            if kind in (b"0", b"\0") and path in wanted:
                found[wanted[path]] = data[place + BLOCK : place + BLOCK + size]
            place += BLOCK + -(-size // BLOCK) * BLOCK
    return found


def _number(field: bytes) -> int:
    """A size: octal digits, or with the highest bit set a binary number (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b"\0 ")
    return int(text, 8) if text else 0


def _slowly(tar: Path, names: Collection[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(tar, "r|*") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            content = archive.extractfile(member) if member.isreg() and name in names else None
            if content is not None:
                found[name] = content.read(SIZE_MAX + 1)
            archive.members = []  # type: ignore[attr-defined]  # a long archive must not be kept in memory
    return found
