"""Keeps the builder's own bytecode in the app's cache: the image is read-only and serves stacks of any Python.

In: the hash of the sources that the image carries.  Out: where Python reads and writes bytecode from now on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SOURCES_FILE = "SOURCES"


def keep_bytecode(package: Path, cache: str = "/cache") -> None:
    """Use a folder named by the sources: all files of an image have the same time, so times tell no change."""
    sources = package / SOURCES_FILE
    if sources.is_file() and os.access(cache, os.W_OK):
        sys.pycache_prefix = f"{cache}/pyc/{sources.read_text()[:16]}"
    else:
        sys.dont_write_bytecode = True
