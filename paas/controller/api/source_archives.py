"""Making a tenant's .tar.gz into the plain tar that builds take.

In: an uploaded archive, compressed or not.  Out: a tar of regular files, folders and symbolic links, paths checked.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from paas.errors import InvalidParams

UNPACKED_LIMIT = 2 * 1024**3  # bytes of file content
ENTRY_LIMIT = 200_000


def normalize(upload: Path, tar: Path) -> None:
    """Write the checked content of `upload` to `tar`. One folder around everything (as GitHub makes) is left out."""
    try:
        top = _single_folder(upload)
        with (
            tarfile.open(upload, "r:*") as source,
            tarfile.open(tar, "x:", format=tarfile.PAX_FORMAT) as target,
        ):
            for member in checked(source):
                name = PurePosixPath(member.name)
                if top is not None:
                    if name == PurePosixPath(top):
                        continue
                    name = name.relative_to(top)
                _copy(source, target, member, str(name))
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        tar.unlink(missing_ok=True)
        raise InvalidParams(f"The uploaded source is not a readable tar archive ({error}).") from error
    except InvalidParams:
        tar.unlink(missing_ok=True)
        raise


def _copy(source: tarfile.TarFile, target: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mtime = member.type, member.linkname, member.mtime
    entry.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    if member.isreg():
        entry.size = member.size
        target.addfile(entry, source.extractfile(member))
    else:
        target.addfile(entry)


def checked(source: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the entries, refusing paths that leave the folder and kinds of file that source code has no use for."""
    size = 0
    for count, member in enumerate(source, start=1):
        path = PurePosixPath(member.name)
        if member.name in ("", ".", "./"):
            continue
        if path.is_absolute() or ".." in path.parts or ".git" in (part.lower() for part in path.parts):
            raise InvalidParams(f"The uploaded source holds the path {member.name!r}, which is not allowed.")
        if not (member.isreg() or member.isdir() or member.issym()):
            raise InvalidParams(
                f"{member.name!r} in the uploaded source is not a file, folder or symbolic link."
            )
        size += member.size
        if size > UNPACKED_LIMIT or count > ENTRY_LIMIT:
            raise InvalidParams(
                f"The uploaded source is too large: at most {UNPACKED_LIMIT} bytes and {ENTRY_LIMIT} files unpacked."
            )
        member.name = str(path)
        yield member


def _single_folder(upload: Path) -> str | None:
    """Return the one folder that holds every entry, or None."""
    tops: set[str] = set()
    folder = False
    with tarfile.open(upload, "r:*") as source:
        for member in checked(source):
            parts = PurePosixPath(member.name).parts
            folder = folder or member.isdir() or len(parts) > 1
            tops.add(parts[0])
            if len(tops) > 1 or (len(parts) == 1 and not member.isdir()):
                return None
    return tops.pop() if folder and tops else None
