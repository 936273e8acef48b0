"""Reading layers: compressed tars by digest, checked while they are read.

In: a blob's file and the digests it must have.  Out: its tar entries one by one, and their content.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from paas.oci.errors import ImageError, damaged

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CHUNK = 256 * 1024
INFLATED_MAX = 12 * 1024**3  # bytes of one layer's tar: a little is padding and headers


@dataclass(frozen=True)
class Layer:
    """A layer on disk. `diff_id` is the digest of the tar inside ('' when the image does not say)."""

    file: Path
    digest: str
    diff_id: str = ""


class Reader(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Hashing:
    """Passes reads through and remembers the digest of all that was read. `limit` in bytes."""

    def __init__(self, source: Reader, limit: int) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._left = limit

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self._left -= len(data)
        if self._left < 0:
            raise ImageError(
                "A layer of the image unpacks to more than any image may have; it was not taken."
            )
        return data

    def drain(self) -> str:
        """Read to the end and return the digest."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"


class Gunzip:
    """A gzip stream of several members, padded or not."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._inflate = zlib.decompressobj(31)
        self._pending = b""
        self._done = False

    def read(self, size: int = CHUNK, /) -> bytes:
        while not self._done:
            if self._inflate.eof:
                rest = self._inflate.unused_data or self._source.read(CHUNK)
                if not rest.strip(b"\0"):
                    self._done = True
                    break
                self._inflate, self._pending = zlib.decompressobj(31), rest
            data = self._pending or self._source.read(CHUNK)
            if not data:
                raise EOFError("the compressed data ends early")
            out = self._inflate.decompress(data, size if size > 0 else CHUNK)
            self._pending = self._inflate.unconsumed_tail
            if out:
                return out
        return b""


@contextmanager
def opened(layer: Layer) -> Iterator[Hashing]:
    """Give the tar inside a layer; at the end both digests are checked. Raises ImageError."""
    try:
        with layer.file.open("rb") as file:
            raw = Hashing(file, 2**62)
            with inflated(layer.file, raw) as inner:
                tar = Hashing(inner, INFLATED_MAX)
                yield tar
                diff_id = tar.drain()
            if raw.drain() != layer.digest or (layer.diff_id and diff_id != layer.diff_id):
                layer.file.unlink(missing_ok=True)  # so that it is fetched again, not found
                raise damaged(f"Layer {layer.digest[:19]} of the image")
    except FileNotFoundError as error:
        raise ImageError(
            f"Layer {layer.digest[:19]} is not there; push or import the image again."
        ) from error
    except (tarfile.TarError, zlib.error, EOFError) as error:
        if file_digest(layer.file) != layer.digest:
            layer.file.unlink(missing_ok=True)
            raise damaged(f"Layer {layer.digest[:19]} of the image") from error
        raise ImageError(f"Layer {layer.digest[:19]} of the image is no tar archive ({error}).") from error


@contextmanager
def inflated(file: Path, raw: Hashing) -> Iterator[Reader]:
    """Give what a file holds, by its first bytes: gzip, zstd, or a plain tar. `raw` reads the same file."""
    with file.open("rb") as peeked:
        magic = peeked.read(4)
    if magic[:2] == GZIP_MAGIC:
        yield Gunzip(raw)
    elif magic == ZSTD_MAGIC:
        with _unzstd(file) as reader:
            yield reader
    else:
        yield raw


@contextmanager
def _unzstd(file: Path) -> Iterator[Reader]:
    """Python has no zstd before 3.14: the program reads the file itself, `opened` hashes it afterwards."""
    if shutil.which("zstd") is None:
        raise ImageError(
            "The image's layers are compressed with zstd: install the package zstd on the platform."
        )
    command = ["zstd", "-dcq", "--memory=512MB", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tool:
        assert tool.stdout is not None
        try:
            yield tool.stdout
        finally:
            tool.stdout.close()
            tool.kill()


def members(tar: Reader) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the entries of a tar as they come; what they hold can be read until the next one."""
    with tarfile.open(fileobj=tar, mode="r|", bufsize=CHUNK) as archive:  # type: ignore[call-overload]
        for member in archive:
            yield archive, member
            archive.members = []  # else it keeps every entry


def file_digest(file: Path) -> str:
    """Return the digest of a file, '' when it is not there."""
    try:
        with file.open("rb") as opened_file:
            return f"sha256:{hashlib.file_digest(opened_file, 'sha256').hexdigest()}"
    except FileNotFoundError:
        return ""
