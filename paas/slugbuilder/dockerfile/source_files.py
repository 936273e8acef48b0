"""Single files of a source tar, without unpacking it. Runs in the platform.

In: the plain tar that builds take, paths.  Out: the content of those that are there, bounded in memory and time.
Every push passes here: so headers are walked, and no object is made of each member as tarfile does.
"""

from __future__ import annotations

import mmap
import tarfile
from collections.abc import Collection
from pathlib import Path

from paas.sources.errors import SourceError
from paas.sources.tar_headers import BoundedTar

BLOCK = 512
SIZE_MAX = 256 * 1024


class Unreadable(ValueError):
    """An archive that is none."""


class TooLarge(ValueError):
    """`name` is the path that was asked for, `size` its bytes."""

    def __init__(self, name: str, size: int, most: int) -> None:
        super().__init__(f"The file {name} has {size} bytes; at most {most} are read.")
        self.name = name


def read_files(tar: Path, names: Collection[str], most: int = SIZE_MAX) -> dict[str, bytes]:
    """Return the files of these paths. Raises TooLarge for one that is, Unreadable for what is no plain tar."""
    try:
        with tar.open("rb") as file:
            ustar = file.read(BLOCK)[257:262] == b"ustar"
        return _walk(tar, names, most) if ustar else _slowly(tar, names, most)
    except TooLarge:
        raise
    except (OSError, ValueError, tarfile.TarError, EOFError, SourceError) as error:
        raise Unreadable(f"The source archive cannot be read: {error}.") from error


def _walk(tar: Path, names: Collection[str], most: int) -> dict[str, bytes]:
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
                if size > most:
                    raise TooLarge(wanted[path], size, most)
                found[wanted[path]] = data[place + BLOCK : place + BLOCK + size]
            place += BLOCK + -(-size // BLOCK) * BLOCK
    return found


def _number(field: bytes) -> int:
    """A size: octal digits, or with the highest bit set a binary number (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b"\0 ")
    return int(text, 8) if text else 0


def _slowly(tar: Path, names: Collection[str], most: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with BoundedTar.open(tar, "r:") as archive:
        for member in archive.each():
            name = member.name.removeprefix("./")
            if not member.isreg() or name not in names:
                continue
            if member.size > most:
                raise TooLarge(name, member.size, most)
            content = archive.extractfile(member)
            if content is not None:
                found[name] = content.read()
    return found
