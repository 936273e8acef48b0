"""Text from outside, made fit to be stored.

In: what a process wrote, a commit says, a host reports.  Out: text that every database takes.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from runtime.model import ExitInfo, encode


def storable(text: str) -> str:
    """Replace NUL, which PostgreSQL refuses, and halves of surrogate pairs, which no encoding has."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def stored_exit(info: ExitInfo | None) -> Any:
    """Return how a run ended as a JSON column gives it back, so that the same end compares as equal."""
    if info is None:
        return None
    head, tail = (tuple(storable(line) for line in lines) for lines in (info.head, info.tail))
    kept = msgspec.structs.replace(info, message=storable(info.message), head=head, tail=tail)
    return json.loads(encode(kept))
