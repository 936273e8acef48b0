"""Many packs become one.

In: a repository whose lock is held.  Out: one self-contained pack with every object's bytes as they were (deltas kept),
instead of all packs.  git gc would recompress, dulwich's repack drops all deltas.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from paas.controller.git.packindex import PackIndex
from paas.controller.git.packstore import PackFile, open_store
from paas.controller.git.packstream import OFS_DELTA, parse_header
from paas.controller.git.quarantine import Quarantine
from paas.controller.git.repositories import pack_folder

_COPY = 1 << 20


def consolidate(quarantine: Quarantine) -> Path | None:
    """Join all packs of the quarantine's repository; returns the new pack, or None when there is nothing to join.

    Objects are taken from the oldest pack first. Every pack is self-contained, so a delta's base comes from the same
    pack or an older one and always lies before it in the new pack: no cycles.
    """
    folder = pack_folder(quarantine.repo)
    with open_store(quarantine.folder, folder) as store:
        old = list(reversed(store.packs))
        if len(old) < 2:
            return None
        joined = _Joined(quarantine.folder / "joined.pack", old)
        joined.write()
    names = {pack.path.name for pack in old} - {joined.path.name}
    if len(names) == len(old):
        quarantine.adopt(joined.path)
    for name in names:
        (folder / name).with_suffix(".idx").unlink()
        (folder / name).unlink()
    return folder / joined.path.name


class _Joined:
    """The new pack while it is written."""

    def __init__(self, path: Path, packs: list[PackFile]) -> None:
        self.path = path
        self._packs = packs
        self._places: dict[bytes, int] = {}
        self._index = PackIndex()
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._at = 0

    def write(self) -> None:
        """Write the pack and its index; `path` has the final name afterwards."""
        count = len({sha for pack in self._packs for _, sha in pack.entries()})
        with self.path.open("xb") as file:
            self._put(file, b"PACK\0\0\0\2" + count.to_bytes(4, "big"))
            for pack in self._packs:
                self._copy_pack(file, pack)
            sha = self._digest.digest()
            file.write(sha)
            file.flush()
            os.fsync(file.fileno())
        self.path = self.path.rename(self.path.with_name(f"pack-{sha.hex()}.pack"))
        with self.path.with_suffix(".idx").open("xb") as idx:
            self._index.write(idx, sha)
            idx.flush()
            os.fsync(idx.fileno())

    def _copy_pack(self, file: BinaryIO, pack: PackFile) -> None:
        entries = pack.entries()
        names = dict(entries)
        ends = [offset for offset, _ in entries[1:]] + [len(pack.pack) - 20]
        for (offset, sha), end in zip(entries, ends, strict=True):
            if sha not in self._places:
                self._copy_object(file, pack.pack, offset, end, sha, names)

    def _copy_object(
        self, file: BinaryIO, pack: mmap.mmap, offset: int, end: int, sha: bytes, names: dict[int, bytes]
    ) -> None:
        kind, length, base, start = parse_header(pack, offset, offset)
        place, crc = self._at, 0
        if kind == OFS_DELTA and isinstance(base, int):
            header = _ofs_header(length, place - self._places[names[base]])
        else:
            header = pack[offset:start]
        for piece in (header, *_pieces(pack, start, end)):
            crc = zlib.crc32(piece, crc)
            self._put(file, piece)
        self._places[sha] = place
        self._index.add(place, crc, sha)

    def _put(self, file: BinaryIO, data: bytes) -> None:
        self._digest.update(data)
        file.write(data)
        self._at += len(data)


def _pieces(pack: mmap.mmap, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _COPY):
        yield pack[at : min(end, at + _COPY)]


def _ofs_header(length: int, distance: int) -> bytes:
    """Return the header of an OFS_DELTA of `length` inflated bytes whose base lies `distance` before it."""
    first, length = OFS_DELTA << 4 | length & 15, length >> 4
    head = bytearray((first | (0x80 if length else 0),))
    while length:
        head.append(length & 0x7F | (0x80 if length >> 7 else 0))
        length >>= 7
    tail = [distance & 0x7F]
    while distance := distance >> 7:
        distance -= 1
        tail.append(0x80 | distance & 0x7F)
    return bytes(head) + bytes(reversed(tail))
