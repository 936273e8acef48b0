"""Git deltas (gitformat-pack(5), "Deltified representation").

In: a base and a delta.  Out: the result; small ones in memory through dulwich, big ones through an unlinked file, so
that the size of an object never becomes the size of the process.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from dulwich.pack import apply_delta

from paas.controller.git.objects import PackRefused

SMALL = 4 << 20
Data = bytes | mmap.mmap


def spool(folder: Path, chunks: Iterable[bytes]) -> Data:
    """Write `chunks` to a file without a name in `folder` and return it mapped; it vanishes with the mapping."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        length = file.tell()
        return mmap.mmap(file.fileno(), length, prot=mmap.PROT_READ) if length else b""


def in_memory(data: Data) -> bytes:
    """Return the bytes of `data`."""
    return data if isinstance(data, bytes) else data[:]


def read_sizes(delta: Data) -> tuple[int, int, int]:
    """Return the base's size, the result's size, and where the instructions start."""
    sizes = [0, 0]
    at = 0
    try:
        for which in (0, 1):
            shift = 0
            while True:
                byte = delta[at]
                at += 1
                sizes[which] |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
                if shift > 63:
                    raise PackRefused("the pack is corrupt: a delta with a size beyond 64 bits")
    except IndexError:
        raise PackRefused("the pack is corrupt: a delta without its sizes") from None
    return sizes[0], sizes[1], at


def apply_small(base: bytes, delta: bytes) -> bytes:
    """Return the result of a delta whose three sizes are known to be at most `SMALL`."""
    chunks = apply_delta(base, delta)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def apply_pieces(base: Data, delta: Data, at: int, size: int) -> Iterator[bytes]:
    """Yield the result of a delta piece by piece; raises PackRefused when it does not add up to `size` bytes."""
    end, made = len(delta), 0
    while at < end:
        op = delta[at]
        at += 1
        if op & 0x80:
            offset, length, at = _copy_arguments(delta, at, op)
            piece = base[offset : offset + length]
        else:
            length = op
            piece = delta[at : at + op]
            at += op
        made += len(piece)
        if not piece or len(piece) != length or made > size:
            raise PackRefused("the pack is corrupt: a delta that reaches outside its base or its result")
        yield piece
    if made != size:
        raise PackRefused("the pack is corrupt: a delta that does not give the size it promised")


def _copy_arguments(delta: Data, at: int, op: int) -> tuple[int, int, int]:
    """Return offset, length and the next instruction of a copy instruction (absent bytes are zero)."""
    values = [0] * 7
    for bit in range(7):
        if op & (1 << bit):
            if at >= len(delta):
                raise PackRefused("the pack is corrupt: a delta that ends inside an instruction")
            values[bit] = delta[at]
            at += 1
    offset = int.from_bytes(bytes(values[:4]), "little")
    return offset, int.from_bytes(bytes(values[4:]), "little") or 0x10000, at
