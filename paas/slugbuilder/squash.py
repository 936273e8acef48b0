"""Squashfs images, packed reproducibly and named by content.

In: a folder.  Out: one file and its `sha256:` digest. Runs on the host.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class ImageError(Exception):
    """An image that could not be made. `str(error)` says what and what to do next."""


@dataclass(frozen=True)
class BuiltImage:
    """A squashfs file. `digest` is `sha256:<64 hex>` of it, `size` its bytes."""

    path: Path
    digest: str
    size: int


def pack(folder: Path, file: Path, *, exclude: Sequence[str] = (), level: int = 3) -> BuiltImage:
    """Pack `folder` as `file`: owners root unless in `folder` otherwise, times 0, no extended attributes.

    Extended attributes would carry file capabilities, which nothing in a container may have, and overlayfs' marks.
    """
    argv = [
        "mksquashfs",
        str(folder),
        str(file),
        "-noappend",
        "-comp",
        "zstd",
        "-Xcompression-level",
        str(level),
    ]
    argv += ["-no-xattrs", "-all-time", "0", "-mkfs-time", "0", "-quiet", "-no-progress"]
    if exclude:
        argv += ["-wildcards", "-e", *exclude]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ImageError("mksquashfs is missing: install the package squashfs-tools.") from error
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise ImageError(f"mksquashfs could not pack {folder}: {reason[-1] if reason else 'no reason given'}")
    return describe(file)


def describe(file: Path) -> BuiltImage:
    """Hash an existing image."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return BuiltImage(file, f"sha256:{digest}", file.stat().st_size)
