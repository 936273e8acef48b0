"""What commands print: tables, ages, how something ended.

In: values of `runtime.model`.  Out: text. Pure but for `show_table`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from runtime.model import ExitInfo


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, the first of which is the heading, in columns."""
    print("\n".join(render_table(rows)))


def render_table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def age_of(since: float) -> str:
    seconds = int(max(0, time.time() - since))
    return (
        f"{seconds}s" if seconds < 120 else f"{seconds // 60}m" if seconds < 7200 else f"{seconds // 3600}h"
    )


def exit_words(exit: ExitInfo | None) -> str:
    if exit is None:
        return ""
    return " ".join(filter(None, (exit.reason, "" if exit.code is None else str(exit.code), exit.message)))
