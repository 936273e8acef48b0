"""Metadata files of packages, which may hold anything.

In: a file.  Out: an object, empty when the file is not one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST = 8 * 1024**2


def read_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; {} when it is too large, no JSON or no object."""
    try:
        if file.stat().st_size > LARGEST:
            return {}
        read = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
