"""Pack index files, version 2 (gitformat-pack(5)).

In: offset, CRC-32 and id of each object, in any order.  Out: the bytes of the `.idx` file, the same as git writes.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import BinaryIO


class PackIndex:
    """Collects the objects of one pack by number and writes the index."""

    def __init__(self) -> None:
        self.offsets = array("Q")
        self.crcs = array("I")
        self.ids: list[bytes] = []

    def add(self, offset: int, crc: int, sha: bytes = b"") -> int:
        """Note an object; `ids[number]` may be filled in later. Returns its number."""
        self.offsets.append(offset)
        self.crcs.append(crc)
        self.ids.append(sha)
        return len(self.ids) - 1

    def numbers_of(self, wanted: Collection[bytes]) -> dict[bytes, int]:
        """Return the number of each of the `wanted` ids that is known."""
        return {sha: number for number, sha in enumerate(self.ids) if sha in wanted} if wanted else {}

    def write(self, file: BinaryIO, pack_sha: bytes) -> None:
        """Write the whole index; every object must have its id."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        names = [self.ids[number] for number in order]
        fan_out = [bisect_left(names, bytes((first,))) for first in range(1, 256)] + [len(names)]
        offsets = array("Q", map(self.offsets.__getitem__, order))
        large = [offset for offset in offsets if offset >= 1 << 31]
        parts = [b"\xfftOc\0\0\0\x02", struct.pack(">256L", *fan_out), b"".join(names)]
        parts += [_big_endian(map(self.crcs.__getitem__, order)), _big_endian(_small_offsets(offsets))]
        parts += [struct.pack(f">{len(large)}Q", *large), pack_sha]
        digest = hashlib.sha1(usedforsecurity=False)
        for part in parts:
            digest.update(part)
            file.write(part)
        file.write(digest.digest())


def _small_offsets(offsets: array[int]) -> Iterable[int]:
    """Offsets beyond 31 bits are numbers of rows in a table of their own."""
    row = 1 << 31
    for offset in offsets:
        if offset < 1 << 31:
            yield offset
        else:
            yield row
            row += 1


def _big_endian(values: Iterable[int]) -> bytes:
    packed = array("I", values)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()
