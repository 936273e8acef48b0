"""One-pass ingest of an incoming pack.

In: the bytes of a pack (possibly thin).  Out: a self-contained pack and its index in the quarantine, every object
hashed and checked, and the ids it needs; PackRefused in the user's words otherwise.  dulwich inflates each object four
times and holds blobs in memory; this inflates once, hashes blobs piece by piece and resolves deltas from a mapping.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dulwich.errors import ApplyDeltaError
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import RawObjectID
from dulwich.pack import extend_pack

from paas.controller.git import delta as deltas
from paas.controller.git.delta import SMALL, Data, in_memory, spool
from paas.controller.git.limits import Limits, size
from paas.controller.git.objects import BLOB, TYPE_NAMES, PackRefused, References
from paas.controller.git.packindex import PackIndex
from paas.controller.git.packstream import WHOLE, PackStream, inflate_at, parse_header

MAX_STRUCTURE = 32 << 20
_KEPT_DELTAS = 6 << 20
_HELD_BASES = 8 << 20
_PREFIX = {kind: name.encode() + b" %d\0" for kind, name in TYPE_NAMES.items()}

GetBase = Callable[[bytes], tuple[int, Data] | None]


@dataclass(frozen=True, slots=True)
class Ingested:
    """The result: `pack` is None when the pack had no object. `index` lies beside it as `.idx`."""

    pack: Path | None
    objects: int


def ingest(
    recv: Callable[[int], bytes], folder: Path, limits: Limits, references: References, get_base: GetBase
) -> Ingested:
    """Receive a pack into `folder` (an existing pack directory). `get_base(id)` finds bases of a thin pack."""
    path = folder / "incoming.pack"
    try:
        with path.open("w+b", buffering=0) as file:
            incoming = _Incoming(PackStream(recv, file, limits), file, folder, limits, references, get_base)
            count = incoming.run()
            os.fsync(file.fileno())
    except (ApplyDeltaError, RecursionError, ValueError) as error:
        raise PackRefused(f"the pack is corrupt: {error}") from error
    if not count:
        path.unlink()
        return Ingested(None, 0)
    name = folder / f"pack-{incoming.pack_sha.hex()}.pack"
    with name.with_suffix(".idx").open("xb") as idx:
        incoming.index.write(idx, incoming.pack_sha)
        idx.flush()
        os.fsync(idx.fileno())
    path.rename(name)
    return Ingested(name, count)


class _Incoming:
    """The state of one ingest."""

    def __init__(
        self,
        stream: PackStream,
        file: BinaryIO,
        folder: Path,
        limits: Limits,
        references: References,
        get_base: GetBase,
    ) -> None:
        self.index = PackIndex()
        self.pack_sha = b""
        self._stream = stream
        self._file = file
        self._folder = folder
        self._limits = limits
        self._references = references
        self._get_base = get_base
        self._kinds = bytearray()
        self._kept: dict[int, bytes] = {}
        self._kept_bytes = 0
        self._child_at: dict[int, int] = {}
        self._child_of: dict[bytes, int] = {}
        self._sibling: dict[int, int] = {}
        self._deadline = 0.0

    def run(self) -> int:
        """Receive, resolve, complete. Returns the number of objects received."""
        count = self._stream.begin()
        for _ in range(count):
            self._receive_object()
        self.pack_sha = self._stream.end()
        if self._child_at or self._child_of:
            self._deadline = time.monotonic() + self._limits.index_timeout
            with mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ) as pack:
                bases = self._resolve(pack)
            if bases:
                self._complete(bases)
        return count

    def _receive_object(self) -> None:
        stream = self._stream
        offset, kind, length, base = stream.next_header()
        if base is not None:
            self._receive_delta(offset, kind, length, base)
            return
        data: bytes | None = None
        if length <= WHOLE:
            data = stream.read_whole(length)
            sha = hashlib.sha1(_PREFIX[kind] % length + data, usedforsecurity=False).digest()
        elif kind == BLOB:
            sha = _hash_pieces(kind, length, stream.read_pieces(length))
        else:
            _check_structure(kind, length)
            data = b"".join(stream.read_pieces(length))
            sha = _hash_pieces(kind, length, (data,))
        self._kinds.append(kind)
        self.index.add(offset, stream.crc, sha)
        self._references.add(kind, sha, data)

    def _receive_delta(self, offset: int, kind: int, length: int, base: int | bytes) -> None:
        number = len(self._kinds)
        if length <= WHOLE and self._kept_bytes + length + 64 <= _KEPT_DELTAS:
            self._kept[number] = self._stream.read_whole(length)
            self._kept_bytes += length + 64
        else:
            for _ in self._stream.read_pieces(length):
                pass
        self._kinds.append(kind)
        self.index.add(offset, self._stream.crc)
        if isinstance(base, bytes):
            other = self._child_of.get(base)
            self._child_of[base] = number
        elif 0 < base < offset:
            other = self._child_at.get(base)
            self._child_at[base] = number
        else:
            raise PackRefused("the pack is corrupt: a delta whose base lies outside the pack")
        if other is not None:
            self._sibling[number] = other

    def _resolve(self, pack: mmap.mmap) -> list[bytes]:
        """Resolve every delta. Returns the ids of the bases that came from the main store."""
        known = (
            {number: sha for sha, number in self.index.numbers_of(self._child_of).items()}
            if self._child_of
            else {}
        )
        for number, kind in enumerate(self._kinds):
            if kind <= 4 and (number in known or self.index.offsets[number] in self._child_at):
                children = self._children(self.index.offsets[number], known.get(number, b""))
                self._walk(pack, kind, self._load(pack, number), children)
        bases = []
        for sha in list(self._child_of):
            if sha in self._child_of and (found := self._get_base(sha)) is not None:
                bases.append(sha)
                self._walk(pack, *found, self._children(0, sha))
        if self._child_of or self._child_at:
            raise PackRefused("the pack is incomplete: the base of a delta is missing; push again")
        return bases

    def _children(self, offset: int, sha: bytes) -> list[int]:
        """Return (and forget) the numbers of the deltas against one object."""
        found = []
        for first in (
            self._child_at.pop(offset, None),
            self._child_of.pop(sha, None) if self._child_of else None,
        ):
            number = first
            while number is not None:
                found.append(number)
                number = self._sibling.pop(number, None)
        return found

    def _walk(self, pack: mmap.mmap, kind: int, base: Data, children: list[int]) -> None:
        """Resolve all deltas that hang on `base`, depth first; a base is dropped with its last child."""
        stack = [(base, children, _held(base), 1)]
        held, limits = _held(base), self._limits
        while stack:
            base, children, weight, depth = stack[-1]
            number = children.pop()
            if not children:
                stack.pop()
                held -= weight
            result = self._apply(pack, base, number)
            sha = self._add_result(number, kind, result)
            grandchildren = self._children(self.index.offsets[number], sha)
            if grandchildren:
                if depth >= limits.max_delta_depth:
                    raise PackRefused(f"a delta chain is longer than {limits.max_delta_depth}")
                if stack and held + len(result) > _HELD_BASES:
                    result = spool(self._folder, (in_memory(result),))
                weight = _held(result)
                held += weight
                stack.append((result, grandchildren, weight, depth + 1))

    def _add_result(self, number: int, kind: int, result: Data) -> bytes:
        data: bytes | None = None
        if isinstance(result, bytes):
            data = result
            sha = hashlib.sha1(_PREFIX[kind] % len(data) + data, usedforsecurity=False).digest()
        else:
            sha = _hash_pieces(kind, len(result), (result,))
            if kind != BLOB:
                _check_structure(kind, len(result))
                data = in_memory(result)
        self.index.ids[number] = sha
        self._references.add(kind, sha, data)
        return sha

    def _apply(self, pack: mmap.mmap, base: Data, number: int) -> Data:
        """Return the object that delta `number` makes of `base`, its size checked before it is made."""
        delta: Data | None = self._kept.pop(number, None)
        if delta is None:
            delta = self._load(pack, number)
        base_size, result_size, at = deltas.read_sizes(delta)
        if base_size != len(base):
            raise PackRefused("the pack is corrupt: a delta for a base of another size")
        self._stream.count(result_size)
        self._check_time()
        if base_size <= SMALL and result_size <= SMALL and len(delta) <= SMALL:
            return deltas.apply_small(in_memory(base), in_memory(delta))
        return spool(self._folder, self._watch(deltas.apply_pieces(base, delta, at, result_size)))

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise PackRefused(f"resolving the pack took more than {self._limits.index_timeout:.0f} seconds")

    def _watch(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on the pieces of a big delta's result, looking at the clock now and then."""
        for number, piece in enumerate(pieces):
            if number & 0xFFF == 0:
                self._check_time()
            yield piece

    def _load(self, pack: mmap.mmap, number: int) -> Data:
        """Inflate an object of the received pack again."""
        offset = self.index.offsets[number]
        _, length, _, start = parse_header(pack, offset, offset)
        pieces = inflate_at(pack, start, length)
        return b"".join(pieces) if length <= SMALL else spool(self._folder, pieces)

    def _complete(self, bases: list[bytes]) -> None:
        """Append the bases that a thin pack left out."""
        for sha in bases:
            if self._references.kind_of(sha) is not None:
                raise PackRefused("the pack is corrupt: a delta whose base is its own result")
        self.pack_sha, added = extend_pack(
            self._file,
            {RawObjectID(sha) for sha in bases},
            self._raw_base,
            object_format=DEFAULT_OBJECT_FORMAT,
        )
        for sha, offset, crc in added:
            self.index.add(offset, crc, sha)

    def _raw_base(self, sha: bytes) -> tuple[int, bytes]:
        found = self._get_base(sha)
        if found is None:
            raise PackRefused("the base of a delta vanished while the push was running; push again")
        return found[0], in_memory(found[1])


def _held(data: Data) -> int:
    """Return the bytes of `data` that are in memory."""
    return len(data) if isinstance(data, bytes) else 0


def _hash_pieces(kind: int, length: int, pieces: Iterable[Data]) -> bytes:
    """Return the id of an object that comes in pieces."""
    digest = hashlib.sha1(_PREFIX[kind] % length, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _check_structure(kind: int, length: int) -> None:
    """Trees, commits and tags are parsed whole."""
    if length > MAX_STRUCTURE:
        raise PackRefused(f"a {TYPE_NAMES[kind]} has {size(length)}, the limit is {size(MAX_STRUCTURE)}")
