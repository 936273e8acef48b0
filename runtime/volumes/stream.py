"""A volume as one stream: a backup, readable with zcat.

In: a file with a file system and what is known of it.  Out: gzip members, and back; a stream that is cut short or was
changed is refused before anything exists.

First an empty member whose extra field holds a `Heading` as JSON; then the file in pieces, holes as members that were
compressed once; last an empty member whose extra field is the SHA-256 of every byte before it. Readers of gzip
(RFC 1952) skip extra fields, so `zcat BACKUP > disk.ext4` gives the file system even where this platform is not.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from runtime.model import Size, Struct, decode, encode
from runtime.volumes import copying, ext4
from runtime.volumes.errors import VolumeInvalid

PIECE = 1024**2
HOLE = 16 * 1024**2
_MARK, _SUM = b"PV", b"PD"
_HEAD = struct.Struct(
    "<2sBBIBBH2sH"
)  # RFC 1952: magic, method, flags, time, extra flags, system, then the extra field
_EMPTY = b"\x03\x00" + bytes(8)  # a deflate stream of nothing, its CRC and length
_TRAILER = _HEAD.size + 64 + len(_EMPTY)
_GZIP = 31  # wbits


class Heading(Struct):
    """What an export says of itself. `length` is the file's; `size_bytes` what the volume may hold."""

    format: int
    name: str
    size_bytes: Size
    length: Size
    created_at: float = 0.0


def write(file: Path, heading: Heading) -> Iterator[bytes]:
    """Yield the stream of a file that does not change meanwhile."""
    digest = hashlib.sha256()
    for part in _members(file, heading):
        digest.update(part)
        yield part
    yield _empty_member(_SUM, digest.hexdigest().encode())


def _members(file: Path, heading: Heading) -> Iterator[bytes]:
    yield _empty_member(_MARK, encode(heading))
    with file.open("rb") as stream:
        descriptor, position = stream.fileno(), 0
        for begin, end in copying.extents(descriptor, 0, heading.length):
            yield from _holes(begin - position)
            for offset in range(begin, end, PIECE):
                yield _member(os.pread(descriptor, min(PIECE, end - offset), offset))
            position = end
        yield from _holes(heading.length - position)


def _holes(length: int) -> Iterator[bytes]:
    if length >= HOLE:
        whole = _member(bytes(HOLE))
        for _ in range(length // HOLE):
            yield whole
    if length % HOLE:
        yield _member(bytes(length % HOLE))


def _member(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()


def _empty_member(mark: bytes, content: bytes) -> bytes:
    head = _HEAD.pack(b"\x1f\x8b", 8, 4, 0, 0, 255, len(content) + 4, mark, len(content))
    return head + content + _EMPTY


class Reader:
    """Writes a stream into a new sparse file as it arrives. `finish` says what it was; until then nothing is sure."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("xb")
        os.fchmod(self._file.fileno(), 0o600)
        self._digest = hashlib.sha256()
        self._tail = b""  # perhaps the trailer
        self._start = b""
        self._unpacker = zlib.decompressobj(_GZIP)
        self._position = 0
        self.heading: Heading | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises VolumeInvalid when they cannot belong to an export."""
        self._tail += data
        ready, self._tail = self._tail[:-_TRAILER], self._tail[-_TRAILER:]
        self._digest.update(ready)
        if self.heading is None:
            ready = self._read_heading(ready)
        if ready:
            self._unpack(ready)

    def finish(self) -> Heading:
        """Check that it was whole. Raises VolumeInvalid."""
        if self.heading is None or self._tail != _empty_member(_SUM, self._digest.hexdigest().encode()):
            raise VolumeInvalid(
                "The backup is cut short or was changed: its digest is wrong. Nothing was imported."
            )
        if self._position != self.heading.length:
            raise VolumeInvalid("The backup is shorter than it says. Nothing was imported.")
        self._file.truncate(self.heading.length)
        os.fsync(self._file.fileno())
        self._file.close()
        return self.heading

    def close(self) -> None:
        self._file.close()

    def _read_heading(self, ready: bytes) -> bytes:
        self._start += ready
        if len(self._start) < _HEAD.size:
            return b""
        magic, _, flags, _, _, _, _, mark, length = _HEAD.unpack_from(self._start)
        if magic != b"\x1f\x8b" or flags != 4 or mark != _MARK:
            raise VolumeInvalid(
                "This is no backup of a volume: make one with python -m runtime volumes export."
            )
        whole = _HEAD.size + length + len(_EMPTY)
        if len(self._start) < whole:
            return b""
        try:
            heading = decode(self._start[_HEAD.size : _HEAD.size + length], Heading)
        except ValueError as error:
            raise VolumeInvalid(f"The backup's heading cannot be read: {error}.") from error
        if heading.format != 1 or heading.length > ext4.file_size(heading.size_bytes) * 2:
            raise VolumeInvalid("The backup is of a kind that this version does not know; use a newer agent.")
        self.heading, rest = heading, self._start[whole:]
        self._start = b""
        return rest

    def _unpack(self, data: bytes) -> None:
        try:
            while data:
                self._write(self._unpacker.decompress(data, PIECE))
                data = self._unpacker.unconsumed_tail
                if self._unpacker.eof:
                    data = self._unpacker.unused_data
                    self._unpacker = zlib.decompressobj(_GZIP)
        except zlib.error as error:
            raise VolumeInvalid(f"The backup is damaged: {error}. Nothing was imported.") from error

    def _write(self, data: bytes) -> None:
        assert self.heading is not None
        if self._position + len(data) > self.heading.length:
            raise VolumeInvalid("The backup is longer than it says. Nothing was imported.")
        for offset in range(0, len(data), 65536):
            part = data[offset : offset + 65536]
            if part.count(0) != len(part):
                self._file.seek(self._position + offset)
                self._file.write(part)
        self._position += len(data)
