"""A pack as it arrives from the network.

In: a function that receives bytes.  Out: object headers and inflated data, one after the other, while the bytes go to a
file; never more than a few hundred kilobytes of the pack are in memory.  Format: gitformat-pack(5).
"""

from __future__ import annotations

import hashlib
import mmap
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from paas.controller.git.limits import Limits, size
from paas.controller.git.objects import PackRefused

OFS_DELTA, REF_DELTA = 6, 7
WHOLE = 64 << 10
_PIECE = 64 << 10
_INFLATED_PIECE = 256 << 10
_HEADER = 64

Header = tuple[int, int, int | bytes | None, int]


def parse_header(buf: bytes | mmap.mmap, pos: int, offset: int) -> Header:
    """Return type, inflated size, delta base (absolute offset, id, or None) and where the zlib stream starts."""
    first = pos
    byte = buf[pos]
    pos += 1
    kind, length, shift = byte >> 4 & 7, byte & 15, 4
    while byte & 0x80:
        byte = buf[pos]
        pos += 1
        length |= (byte & 0x7F) << shift
        shift += 7
    if kind < 5 and kind:
        base: int | bytes | None = None
    elif kind == OFS_DELTA:
        byte = buf[pos]
        pos += 1
        distance = byte & 0x7F
        while byte & 0x80:
            byte = buf[pos]
            pos += 1
            distance = ((distance + 1) << 7) | (byte & 0x7F)
        base = offset - distance
    elif kind == REF_DELTA:
        base = buf[pos : pos + 20]
        pos += 20
    else:
        raise PackRefused(f"the pack is corrupt: unknown object type {kind}")
    if pos - first > _HEADER:
        raise PackRefused("the pack is corrupt: an object header without end")
    return kind, length, base, pos


def inflate_whole(pack: mmap.mmap, pos: int, length: int) -> bytes:
    """Return the data of a small object that was inflated before without a fault."""
    return zlib.decompressobj().decompress(pack[pos : pos + length + (length >> 10) + 64], length)


def inflate_at(pack: mmap.mmap, pos: int, length: int) -> Iterator[bytes]:
    """Yield the data of an object that was inflated before without a fault."""
    inflater = zlib.decompressobj()
    while not inflater.eof:
        piece = pack[pos : pos + min(_PIECE, length + (length >> 10) + 64)]
        data = inflater.decompress(piece, _INFLATED_PIECE)
        pos += len(piece) - _left(inflater)
        yield data


class PackStream:
    """Reads one pack to its end. `crc` is the CRC-32 of the object read last, header included."""

    def __init__(self, recv: Callable[[int], bytes], file: BinaryIO, limits: Limits) -> None:
        """`recv(n)` returns 1 to n bytes, or b"" at the end; `file` gets every byte."""
        self._recv = recv
        self._file = file
        self._limits = limits
        self._buf = b""
        self._pos = 0
        self._start = 0
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._received = 0
        self._inflated = 0
        self.crc = 0

    def begin(self) -> int:
        """Read the pack's header and return its number of objects."""
        self._fill(12)
        head = self._buf[:12]
        if len(head) < 12 or head[:4] != b"PACK" or head[4:8] not in (b"\0\0\0\2", b"\0\0\0\3"):
            raise PackRefused("the pack has no valid header")
        count = int.from_bytes(head[8:], "big")
        if count > self._limits.max_objects:
            raise PackRefused(f"the pack has {count} objects, the limit is {self._limits.max_objects}")
        self._pos = 12
        return count

    def next_header(self) -> tuple[int, int, int, int | bytes | None]:
        """Return offset, type, inflated size and delta base of the next object."""
        if len(self._buf) - self._pos < _HEADER:
            self._fill(_HEADER)
        pos = self._pos
        offset = self._start + pos
        try:
            kind, length, base, self._pos = parse_header(self._buf, pos, offset)
        except IndexError:
            raise _ended_early() from None
        self.crc = zlib.crc32(self._buf[pos : self._pos])
        self.count(length)
        return offset, kind, length, base

    def count(self, length: int) -> None:
        """Note an object (or delta) of `length` bytes before it is made; refuse what is too big."""
        self._inflated += length
        if length > self._limits.max_object:
            raise PackRefused(f"an object has {size(length)}, the limit is {size(self._limits.max_object)}")
        if self._inflated > self._limits.max_inflated:
            raise PackRefused(f"the push unpacks to more than {size(self._limits.max_inflated)}")

    def read_whole(self, length: int) -> bytes:
        """Return the inflated data of the object whose header was read last (for small objects)."""
        bound = length + (length >> 10) + 64
        if len(self._buf) - self._pos < bound:
            self._fill(bound)
        pos = self._pos
        piece = self._buf[pos : pos + bound]
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(piece, length + 1)
        except zlib.error as error:
            raise _corrupt() from error
        if not inflater.eof or len(data) != length:
            return b"".join(self.read_pieces(length))
        used = len(piece) - len(inflater.unused_data)
        self.crc = zlib.crc32(piece[:used], self.crc)
        self._pos = pos + used
        return data

    def read_pieces(self, length: int) -> Iterator[bytes]:
        """Yield the inflated data of the object whose header was read last."""
        inflater = zlib.decompressobj()
        while not inflater.eof:
            if self._pos == len(self._buf):
                self._fill(1)
                if not self._buf:
                    raise _ended_early()
            piece = self._buf[self._pos : self._pos + _PIECE]
            try:
                data = inflater.decompress(piece, _INFLATED_PIECE)
            except zlib.error as error:
                raise _corrupt() from error
            used = len(piece) - _left(inflater)
            self.crc = zlib.crc32(piece[:used], self.crc)
            self._pos += used
            length -= len(data)
            if length < 0:
                raise _corrupt()
            yield data
        if length:
            raise _corrupt()

    def end(self) -> bytes:
        """Check the trailer and that nothing follows; return the pack's SHA-1."""
        self._fill(21)
        self._digest.update(self._buf[: self._pos])
        trailer = self._buf[self._pos :]
        if len(trailer) < 20:
            raise _ended_early()
        if len(trailer) > 20:
            raise PackRefused("the pack is corrupt: bytes after its end")
        if trailer != self._digest.digest():
            raise PackRefused("the pack is corrupt: its checksum does not match; push again")
        return trailer

    def _fill(self, wanted: int) -> None:
        """Have at least `wanted` bytes from the current position on in the buffer, unless the pack ends before."""
        self._digest.update(memoryview(self._buf)[: self._pos])
        self._start += self._pos
        parts, have = [self._buf[self._pos :]], len(self._buf) - self._pos
        while have < wanted:
            more = self._recv(_PIECE)
            if not more:
                break
            self._received += len(more)
            if self._received > self._limits.max_pack:
                raise PackRefused(
                    f"the pack exceeds {size(self._limits.max_pack)}; keep big files out of git"
                )
            self._file.write(more)
            parts.append(more)
            have += len(more)
        self._buf = b"".join(parts)
        self._pos = 0


def _left(inflater: zlib._Decompress) -> int:
    """Return how many bytes of its last input an inflater has not used. At the end of its stream `unconsumed_tail` may
    hold once more what is in `unused_data`: it does when a call before stopped at its most bytes of output."""
    return len(inflater.unused_data if inflater.eof else inflater.unconsumed_tail)


def _ended_early() -> PackRefused:
    return PackRefused("the pack ended early; push again")


def _corrupt() -> PackRefused:
    return PackRefused("the pack is corrupt: an object does not inflate to its size; push again")
