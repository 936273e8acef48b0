"""Slugs and stacks as layers that any OCI client takes.

In: a squashfs.  Out: a gzipped tar of it by digest, the same bytes each time, streamed: nothing is mounted or unpacked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import msgspec

from paas.oci.errors import ImageError
from runtime import shapes

CHUNK = 256 * 1024
LEVEL = 1  # a level more would make the first pull wait twice as long for 5 % less to send


class Converted(msgspec.Struct, frozen=True):
    """A squashfs as a layer: `digest` and `size` of the gzipped tar, `diff_id` of the tar."""

    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True)
class Conversions:
    """Layers under `folder`, at most `limit` bytes of them. What each squashfs becomes is remembered for good."""

    folder: Path
    limit: int

    def layer(self, squashfs: Path) -> Converted:
        """Return what a squashfs becomes, converting it the first time only."""
        note = self.folder / "notes" / f"{squashfs.name}.json"
        with suppress(OSError, ValueError):
            return shapes.decode(note.read_bytes(), Converted)
        with self._locked(squashfs.name):
            with suppress(OSError, ValueError):
                return shapes.decode(note.read_bytes(), Converted)
            return self._convert(squashfs, note)

    def file(self, squashfs: Path) -> Path:
        """Return the file of a layer, converted again when it had to make room. Raises ImageError."""
        known = self.layer(squashfs)
        path = self.path(known.digest)
        if not path.exists():
            with self._locked(squashfs.name):
                if not path.exists():
                    known = self._convert(squashfs, self.folder / "notes" / f"{squashfs.name}.json")
                    path = self.path(known.digest)
        with suppress(FileNotFoundError):
            os.utime(path)  # who was asked for last goes last
        return path

    def path(self, digest: str) -> Path:
        return self.folder / "sha256" / digest.removeprefix("sha256:")

    def make_room(self) -> int:
        """Delete the layers that nobody has asked for longest until they fit. Returns how many."""
        kept, deleted = 0, 0
        entries = [(entry.stat(), entry) for entry in (self.folder / "sha256").glob("[0-9a-f]*")]
        for status, entry in sorted(entries, key=lambda pair: pair[0].st_mtime, reverse=True):
            kept += status.st_size
            if kept > self.limit:
                entry.unlink(missing_ok=True)
                deleted += 1
        return deleted

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        (self.folder / "notes").mkdir(parents=True, exist_ok=True)
        with (self.folder / "notes" / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _convert(self, squashfs: Path, note: Path) -> Converted:
        target = self.folder / "sha256"
        target.mkdir(parents=True, exist_ok=True)
        draft = target / f".{uuid4().hex}"
        try:
            made = convert(squashfs, draft)
            draft.replace(self.path(made.digest))
        finally:
            draft.unlink(missing_ok=True)
        half = note.with_suffix(".half")
        half.write_bytes(msgspec.json.encode(made))
        half.replace(note)
        self.make_room()
        return made


def convert(squashfs: Path, target: Path) -> Converted:
    """Write the layer of a squashfs to `target`. Raises ImageError."""
    packed, plain, size = hashlib.sha256(), hashlib.sha256(), 0
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)  # 31: a gzip header without time or name
    try:
        tool = subprocess.Popen(
            ["sqfs2tar", "--no-xattr", str(squashfs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError as error:
        raise ImageError("sqfs2tar is missing on the platform: apt install squashfs-tools-ng.") from error
    with tool, target.open("wb") as out:
        assert tool.stdout is not None
        assert tool.stderr is not None
        while True:
            data = tool.stdout.read(CHUNK)
            plain.update(data)
            piece = deflate.compress(data) if data else deflate.flush()
            packed.update(piece)
            size += out.write(piece)
            if not data:
                break
        said = tool.stderr.read().decode(errors="replace").strip()
    if tool.returncode:
        raise ImageError(f"The image cannot be read: {said.splitlines()[-1] if said else 'no reason given'}")
    return Converted(f"sha256:{packed.hexdigest()}", size, f"sha256:{plain.hexdigest()}")
