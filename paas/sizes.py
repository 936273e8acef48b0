"""Sizes as people write them.

In: 10GiB, 500M or a number of bytes; units are powers of 1024.  Out: bytes.
"""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"(\d{1,15})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes. Raises ValueError in words."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text.strip()!r} is not a size: write 500MiB, 10GiB or a number of bytes.")
    return int(found[1]) * _UNITS[found[2].lower()]
