"""Files that decide what root does or what an app may do: only root may be able to change them.

In: a path.  Out: nothing, or an OSError that says who else can write it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def check(path: Path) -> None:
    """Raise PermissionError unless the file and its folder belong to root and nobody else can write them."""
    for one in (path, path.parent):
        found = one.stat()
        if found.st_uid != 0 or (found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not _sticky(found)):
            raise PermissionError(
                f"{one} can be changed by others than root: chown root {one}; chmod go-w {one}."
            )


def _sticky(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
