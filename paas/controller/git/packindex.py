"""Pack index files, version 2 (gitformat-pack(5)).

In: id, offset and CRC-32 of each object, in any order.  Out: the bytes of the `.idx` file, the same as git writes.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Container, Iterator
from typing import BinaryIO

_RECORD = 24


class PackIndex:
    """Collects the objects of one pack compactly (about 40 bytes each) and writes the index."""

    def __init__(self) -> None:
        self.offsets = array("Q")
        self.crcs = array("I")
        self._buckets = [bytearray() for _ in range(256)]

    def add_place(self, offset: int, crc: int) -> int:
        """Note where an object lies; its id may become known later. Returns its number."""
        self.offsets.append(offset)
        self.crcs.append(crc)
        return len(self.offsets) - 1

    def add_id(self, number: int, sha: bytes) -> None:
        """Note the id (20 raw bytes) of object `number`."""
        self._buckets[sha[0]] += sha + number.to_bytes(4, "big")

    def numbers_of(self, wanted: Container[bytes]) -> dict[bytes, int]:
        """Return the number of each of the `wanted` ids that is known."""
        return {sha: number for bucket in self._buckets for sha, number in _records(bucket) if sha in wanted}

    def write(self, file: BinaryIO, pack_sha: bytes) -> None:
        """Write the whole index; every place must have its id."""
        fan_out, names, crcs, offsets = [], [], [], []
        large: list[int] = []
        total = 0
        for numbers, ids in self._sorted():
            total += len(numbers)
            fan_out.append(total)
            names.append(ids)
            crcs.append(struct.pack(f">{len(numbers)}L", *[self.crcs[number] for number in numbers]))
            places = [self.offsets[number] for number in numbers]
            if places and max(places) >= 1 << 31:
                places = [_large_offset(place, large) for place in places]
            offsets.append(struct.pack(f">{len(places)}L", *places))
        parts = [b"\xfftOc\0\0\0\x02", struct.pack(">256L", *fan_out), *names, *crcs, *offsets]
        parts += [struct.pack(f">{len(large)}Q", *large), pack_sha]
        digest = hashlib.sha1(usedforsecurity=False)
        for part in parts:
            digest.update(part)
            file.write(part)
        file.write(digest.digest())

    def _sorted(self) -> Iterator[tuple[list[int], bytes]]:
        for bucket in self._buckets:
            records = sorted(_records(bucket))
            yield [number for _, number in records], b"".join([sha for sha, _ in records])


def _records(bucket: bytearray) -> list[tuple[bytes, int]]:
    data = bytes(bucket)
    starts = range(0, len(data), _RECORD)
    return [(data[at : at + 20], int.from_bytes(data[at + 20 : at + _RECORD], "big")) for at in starts]


def _large_offset(place: int, large: list[int]) -> int:
    """Offsets beyond 31 bits go to a table of their own."""
    if place < 1 << 31:
        return place
    large.append(place)
    return (1 << 31) + len(large) - 1
