"""What is around a tar: compressions that Python's tarfile does not bound or know, and zip.

In: a file as it came.  Out: a file that tarfile reads without more memory than it should; nothing is left of it after.
"""

from __future__ import annotations

import calendar
import lzma
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from paas.sources.errors import SourceError

CHUNK = 1024 * 1024
XZ, ZSTD, ZIP, EMPTY_ZIP = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x05\x06"
XZ_MEMORY = 128 * 1024**2  # `xz -9` needs 65 MiB to unpack
ZSTD_WINDOW = "27"  # 2^27 bytes: what zstd itself takes without being told
ENTRY_LIMIT = 200_000
OVERHEAD = 256 * 1024**2  # headers and padding of a tar of as many entries
LINK_MOST = 4096
ENCRYPTED, UNIX = 0x1, 3  # a flag and a system of zip's


@contextmanager
def plain_file(upload: Path, folder: Path, limit: int) -> Iterator[Path]:
    """Give the file itself, or a tar made from it below `folder`; that one is removed again."""
    with upload.open("rb") as file:
        magic = file.read(6)
    makers = {XZ: _from_xz, ZSTD: _from_zstd, ZIP: _from_zip, EMPTY_ZIP: _from_zip}
    make = next((maker for start, maker in makers.items() if magic.startswith(start)), None)
    if make is None:
        yield upload
        return
    with tempfile.TemporaryDirectory(prefix=".plain-", dir=folder) as place:
        made = Path(place) / "source.tar"
        make(upload, made, limit)
        yield made


def too_large(limit: int) -> SourceError:
    return SourceError(
        f"The source is too large: at most {limit:,} bytes and {ENTRY_LIMIT:,} entries unpacked. "
        "Leave out what the app does not need: build products, data, dependencies.",
        id="source_too_large",
    )


def _from_xz(upload: Path, made: Path, limit: int) -> None:
    try:
        with upload.open("rb") as source, made.open("xb") as target:
            _write_bounded(_xz_pieces(source), target, limit + OVERHEAD, limit)
    except lzma.LZMAError as error:
        raise SourceError(f"The source is not a readable xz file ({error}).", id="source_invalid") from error


def _xz_pieces(source: IO[bytes]) -> Iterator[bytes]:
    """Yield what is in an xz file (one stream or several), with a bound on what its dictionary may take."""
    data = source.read(CHUNK)
    while data:
        stream = lzma.LZMADecompressor(memlimit=XZ_MEMORY)
        while not stream.eof:
            if stream.needs_input and not data:
                data = source.read(CHUNK)
                if not data:
                    raise SourceError("The source ends early; send it again.", id="source_invalid")
            piece = stream.decompress(data, max_length=CHUNK)
            data = b""
            yield piece
        data = stream.unused_data.lstrip(b"\0") or source.read(CHUNK).lstrip(b"\0")


def _from_zstd(upload: Path, made: Path, limit: int) -> None:
    command = ["zstd", "--decompress", "--stdout", "--quiet", f"--long={ZSTD_WINDOW}", "--", str(upload)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.stdout, process.stderr
        assert out is not None
        assert err is not None
        try:
            with made.open("xb") as target:
                _write_bounded(_pieces(out), target, limit + OVERHEAD, limit)
            words = err.read(1000).decode("utf-8", "replace").strip()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SourceError(f"The source is not a readable zstd file ({words}).", id="source_invalid")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _write_bounded(pieces: Iterator[bytes], target: IO[bytes], most: int, limit: int) -> None:
    """Write at most `most` bytes; `limit` is the one that the user is told."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise too_large(limit)
        target.write(piece)


def _from_zip(upload: Path, made: Path, limit: int) -> None:
    """Write a zip's members as a tar. What the zip says of sizes is not believed."""
    left = limit
    try:
        with zipfile.ZipFile(upload) as source, tarfile.open(made, "x:", format=tarfile.PAX_FORMAT) as target:
            if len(source.infolist()) > ENTRY_LIMIT:
                raise too_large(limit)
            for info in source.infolist():
                left -= _add(source, info, target, left, limit)
                target.members = []  # type: ignore[attr-defined]  # it would keep them all
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise SourceError(f"The zip archive cannot be read ({error}).", id="source_invalid") from error


def _add(
    source: zipfile.ZipFile, info: zipfile.ZipInfo, target: tarfile.TarFile, left: int, limit: int
) -> int:
    """Add one member; returns how many bytes it took."""
    if info.flag_bits & ENCRYPTED:
        raise SourceError(f"{info.filename!r} in the zip archive is encrypted.", id="source_invalid")
    mode = info.external_attr >> 16 if info.create_system == UNIX else 0
    name = info.filename if info.create_system == UNIX else info.filename.replace("\\", "/")
    entry = tarfile.TarInfo(name.rstrip("/") or ".")
    entry.mode, entry.mtime = 0o755 if mode & 0o100 else 0o644, _time(info)
    if name.endswith("/"):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        target.addfile(entry)
        return 0
    folder = str(Path(str(target.name)).parent)
    with source.open(info) as content, tempfile.SpooledTemporaryFile(max_size=CHUNK, dir=folder) as file:
        _write_bounded(_pieces(content), file, left, limit)
        size = file.tell()
        file.seek(0)
        if stat.S_ISLNK(mode):
            entry.type, entry.linkname = tarfile.SYMTYPE, file.read(LINK_MOST).decode("utf-8", "replace")
            target.addfile(entry)
        else:
            entry.size = size
            target.addfile(entry, file)
    return size


def _time(info: zipfile.ZipInfo) -> int:
    """Seconds since 1970; a zip's times have no zone."""
    return max(0, calendar.timegm((*info.date_time, 0, 0, 0)))
