"""Images as a build leaves them: a squashfs with a folder for each, as `dir:` of containers-transports(5).

In: the squashfs; a tenant's build ran beside what wrote it.  Out: blobs in a store, checked, and manifests' digests.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from paas.oci.errors import ImageError, damaged
from paas.oci.layers import CHUNK
from paas.oci.layout import Blobs
from paas.oci.manifests import MANIFEST_MAX

_MANIFEST = re.compile(r"app/out/(\d{1,3})/manifest\.json")
_BLOB = re.compile(r"app/out/\d{1,3}/([0-9a-f]{64})")


def adopt_folders(squashfs: Path, store: Blobs) -> dict[int, str]:
    """Keep the blobs of all images and return the digest of each manifest by folder. Raises ImageError.

    Nothing but plain files with the two names that there are is read; a blob is what its content says.
    """
    found: dict[int, str] = {}
    with _opened(squashfs) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            if match := _MANIFEST.fullmatch(name):
                found[int(match[1])] = store.put(_small(cast(BinaryIO, content), member.size))
            elif match := _BLOB.fullmatch(name):
                _keep(cast(BinaryIO, content), f"sha256:{match[1]}", store)
    return found


def _small(content: BinaryIO, size: int) -> bytes:
    if size > MANIFEST_MAX:
        raise ImageError(f"The manifest has {size} bytes; at most {MANIFEST_MAX} are taken.")
    return content.read()


def _keep(content: BinaryIO, digest: str, store: Blobs) -> None:
    target = store.path(digest)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    half, hasher = target.with_name(f".{target.name}.{uuid4().hex}"), hashlib.sha256()
    try:
        with half.open("wb") as file:
            while data := content.read(CHUNK):
                hasher.update(data)
                file.write(data)
        if f"sha256:{hasher.hexdigest()}" != digest:
            raise damaged("A layer that the build made")
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def _opened(squashfs: Path) -> Iterator[tarfile.TarFile]:
    argv = ["sqfs2tar", "--no-xattr", str(squashfs)]
    try:
        tool = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ImageError("sqfs2tar is missing on the platform: apt install squashfs-tools-ng.") from error
    with tool:
        assert tool.stdout is not None
        try:
            with tarfile.open(fileobj=tool.stdout, mode="r|") as archive:
                yield archive
        except tarfile.TarError as error:
            raise ImageError(f"What the build made cannot be read ({error}).") from error
        finally:
            tool.kill()
