"""What packing a tree depends on, as one hash: reading costs a fifth of packing.

In: a directory, paths below it that stay out, whether times count.  Out: 64 hexadecimal digits; equal ones pack alike.
A program of its own (standard library only), so that hashing holds up nobody who shares the caller's interpreter:
    python -I -S fingerprint.py DIRECTORY times|no-times [PATH…]
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

PIECE = 1024**2
LARGE = 256 * 1024  # bytes from which a file is worth a second thread


def fingerprint(top: str, *, keep_times: bool = False, without: Sequence[str] = ()) -> str:
    """Return the hash of names, kinds, modes, links (hard ones too) and content below `top`; its owners do not count.

    `without` are relative to `top`. Raises OSError.
    """
    digest = hashlib.sha256()
    first: dict[tuple[int, int], int] = {}
    left_out = frozenset(os.path.normpath(path) for path in without)
    with ThreadPoolExecutor(1) as beside:
        facts = [
            (path, found, _content(beside, f"{top}/{path}", found)) for path, found in _entries(top, left_out)
        ]
        for number, (path, found, content) in enumerate(facts):
            again = first.setdefault((found.st_dev, found.st_ino), number)
            words = content.result() if isinstance(content, Future) else content
            time = int(found.st_mtime) if keep_times else 0
            head = f"{found.st_mode:o} {time} {again - number} {len(words)} ".encode()
            digest.update(head + os.fsencode(path) + b"\0" + words)
    return digest.hexdigest()


def of_bytes(*parts: bytes) -> str:
    """Return one hash of several values, none of which can pass for a part of its neighbour."""
    return hashlib.sha256(b"".join(b"%d %b" % (len(part), part) for part in parts)).hexdigest()


def _entries(top: str, left_out: frozenset[str], below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything in the order of names, `top` itself first."""
    if not below:
        yield ".", os.lstat(top)
    with os.scandir(f"{top}/{below}") as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if path in left_out:
            continue
        yield path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(top, left_out, path)


def _content(beside: ThreadPoolExecutor, path: str, found: os.stat_result) -> bytes | Future[bytes]:
    if stat.S_ISREG(found.st_mode):
        return beside.submit(_hash, path) if found.st_size >= LARGE else _hash(path)
    if stat.S_ISLNK(found.st_mode):
        return os.fsencode(os.readlink(path))  # noqa: PTH115  # pathlib is half of the start
    return str(found.st_rdev).encode()


def _hash(path: str) -> bytes:
    digest = hashlib.sha256()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while piece := os.read(handle, PIECE):
            digest.update(piece)
    finally:
        os.close(handle)
    return digest.digest()


if __name__ == "__main__":
    print(fingerprint(sys.argv[1], keep_times=sys.argv[2] == "times", without=sys.argv[3:]))
