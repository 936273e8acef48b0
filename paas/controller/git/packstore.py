"""Reading objects back from packs, without loading more than asked for.

In: pack directories (the quarantine's, the repository's) and an object's id.  Out: its type, or its type and data; big
objects come mapped instead of in memory.  Everything a push stores is in packs, so loose objects are not looked for.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.controller.git import delta as deltas
from paas.controller.git.delta import SMALL, Data, in_memory, spool
from paas.controller.git.packstream import WHOLE, inflate_at, inflate_whole, parse_header

_CACHE = 8 << 20
_FAN_OUT = 8
_NAMES = _FAN_OUT + 1024


class PackFile:
    """One pack and its version 2 index, both mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pack = _map(path)
        self._idx = _map(path.with_suffix(".idx"))
        self._fan_out = struct.unpack_from(">256L", self._idx, _FAN_OUT)
        self.count = self._fan_out[255]

    def close(self) -> None:
        """Unmap both files."""
        self.pack.close()
        self._idx.close()

    def offset_of(self, sha: bytes) -> int | None:
        """Return where the object lies in the pack, or None."""
        low = self._fan_out[sha[0] - 1] if sha[0] else 0
        high = self._fan_out[sha[0]]
        while low < high:
            middle = (low + high) // 2
            at = _NAMES + 20 * middle
            found = self._idx[at : at + 20]
            if found == sha:
                return self._offset(middle)
            if found < sha:
                low = middle + 1
            else:
                high = middle
        return None

    def entries(self) -> list[tuple[int, bytes]]:
        """Return offset and id of every object, in the order of the pack."""
        names = self._idx[_NAMES : _NAMES + 20 * self.count]
        return sorted(
            (self._offset(number), names[20 * number : 20 * number + 20]) for number in range(self.count)
        )

    def _offset(self, number: int) -> int:
        at = _NAMES + 24 * self.count + 4 * number
        offset = int.from_bytes(self._idx[at : at + 4], "big")
        if offset < 1 << 31:
            return offset
        at = _NAMES + 28 * self.count + 8 * (offset & 0x7FFFFFFF)
        return int.from_bytes(self._idx[at : at + 8], "big")


class PackStore:
    """All packs of some directories, as one store. For one thread."""

    def __init__(self, scratch: Path, packs: Iterable[PackFile]) -> None:
        """`scratch` is a folder for unnamed files that hold big objects."""
        self.packs = tuple(packs)
        self._scratch = scratch
        self._cache: dict[tuple[PackFile, int], bytes] = {}
        self._cached = 0

    def kind(self, sha: bytes) -> int | None:
        """Return the object's type, or None when it is not here."""
        found = self._find(sha)
        while found is not None:
            pack, offset = found
            kind, _, base, _ = parse_header(pack.pack, offset, offset)
            if base is None:
                return kind
            found = (pack, base) if isinstance(base, int) else self._find(base)
        return None

    def get(self, sha: bytes) -> tuple[int, Data] | None:
        """Return the object's type and data, or None when it is not here."""
        found = self._find(sha)
        return None if found is None else self._read(*found)

    def get_bytes(self, sha: bytes) -> tuple[int, bytes] | None:
        """Return the object's type and data in memory, or None when it is not here."""
        found = self.get(sha)
        return None if found is None else (found[0], in_memory(found[1]))

    def _find(self, sha: bytes) -> tuple[PackFile, int] | None:
        for pack in self.packs:
            offset = pack.offset_of(sha)
            if offset is not None:
                return pack, offset
        return None

    def _read(self, pack: PackFile, offset: int) -> tuple[int, Data]:
        """Go down the chain of deltas to a whole object (or a cached one) and up again."""
        chain: list[tuple[PackFile, int, int, int]] = []
        while True:
            kind, length, base, start = parse_header(pack.pack, offset, offset)
            if base is None:
                data = self._inflate(pack, start, length)
                break
            chain.append((pack, offset, start, length))
            found = (pack, base) if isinstance(base, int) else self._find(base)
            if found is None:
                raise KeyError(f"the base of the object at {offset} of {pack.path.name} is missing")
            pack, offset = found
        for pack, offset, start, length in reversed(chain):
            cached = self._cache.get((pack, offset))
            data = cached if cached is not None else self._apply(data, self._inflate(pack, start, length))
            self._remember(pack, offset, data)
        return kind, data

    def _inflate(self, pack: PackFile, start: int, length: int) -> Data:
        if length <= WHOLE:
            data = inflate_whole(pack.pack, start, length)
            if len(data) == length:
                return data
        pieces = inflate_at(pack.pack, start, length)
        return b"".join(pieces) if length <= SMALL else spool(self._scratch, pieces)

    def _apply(self, base: Data, delta: Data) -> Data:
        base_size, result_size, at = deltas.read_sizes(delta)
        if max(base_size, result_size, len(delta)) <= SMALL:
            return deltas.apply_small(in_memory(base), in_memory(delta))
        return spool(self._scratch, deltas.apply_pieces(base, delta, at, result_size))

    def _remember(self, pack: PackFile, offset: int, data: Data) -> None:
        if not isinstance(data, bytes) or len(data) > _CACHE // 8:
            return
        if self._cached + len(data) > _CACHE:
            self._cache.clear()
            self._cached = 0
        self._cache[pack, offset] = data
        self._cached += len(data)


@contextmanager
def open_store(scratch: Path, *folders: Path) -> Iterator[PackStore]:
    """Open all packs of the pack directories `folders`, the newest of each folder first."""
    packs: list[PackFile] = []
    try:
        for folder in folders:
            packs.extend(PackFile(path) for path in pack_paths(folder))
        yield PackStore(scratch, packs)
    finally:
        for pack in packs:
            pack.close()


def pack_paths(folder: Path) -> list[Path]:
    """Return the packs of a directory that have an index, the newest first."""
    found = [path.with_suffix(".pack") for path in folder.glob("pack-*.idx")]
    return sorted(
        (path for path in found if path.exists()), key=lambda path: (-path.stat().st_mtime_ns, path.name)
    )


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
