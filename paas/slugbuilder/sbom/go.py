"""Go modules, from what the linker wrote into a program (`go version -m` shows the same).

In: a tree.  Out: components of every Go program in the places where builds put them.

Format: src/debug/buildinfo/buildinfo.go of Go. Since Go 1.18 two texts follow the header, each with its length as a
varint: the version of Go, and the module list between two 16-byte marks. Older programs are passed over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from .component import Component, component

MAGIC = b"\xff Go buildinf:"
HEADER, ALIGN = 32, 16
INLINE = 2  # flag: the texts follow the header
MARK = 16
LOOK = 64 * 1024**2  # bytes of a program that are looked through
LONGEST = 4 * 1024**2


def go_modules(app: Path) -> Iterator[Component]:
    """Yield the modules that the app's programs were linked from."""
    for place in ("bin", "."):
        for file in sorted((app / place).iterdir() if (app / place).is_dir() else ()):
            if file.is_file() and not file.is_symlink() and file.stat().st_mode & 0o111:
                yield from modules(build_info(file))


def build_info(file: Path) -> str:
    """Return the module list in a program, '' when it is none of Go's."""
    with file.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return ""
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start = _header(data)
            return "" if start < 0 else _module_text(data[start + HEADER : start + HEADER + LONGEST])


def modules(text: str) -> Iterator[Component]:
    """Yield the components of a module list: lines `mod|dep PATH VERSION SUM`, and `=>` for a replacement."""
    last: Component | None = None
    for line in text.splitlines():
        kind, *words = line.split("\t")
        if kind in ("mod", "dep", "=>") and len(words) >= 2:
            if last and kind != "=>":
                yield last
            group, _, name = words[0].rpartition("/")
            last = component("golang", name, words[1] or "(devel)", group=group)
    if last:
        yield last


def _header(data: mmap.mmap) -> int:
    at = data.find(MAGIC, 0, LOOK)
    while at >= 0 and (at % ALIGN or not data[at + 15] & INLINE):
        at = data.find(MAGIC, at + 1, LOOK)
    return at


def _module_text(data: bytes) -> str:
    _, rest = _text(data)
    text, _ = _text(rest)
    return text[MARK:-MARK].decode("utf-8", "replace") if len(text) > 2 * MARK else ""


def _text(data: bytes) -> tuple[bytes, bytes]:
    """Return a text with its varint length before it, and what follows."""
    length = 0
    for position, byte in enumerate(data[:10]):
        length |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            rest = data[position + 1 :]
            return rest[:length], rest[length:]
    return b"", b""
