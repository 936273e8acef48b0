"""What commands print: tables and lines for people, JSON for programs.

In: rows.  Out: text on stdout; remarks go to stderr, so that stdout can be piped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click


def say(text: str = "") -> None:
    click.echo(text)


def remark(text: str) -> None:
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> None:
    """Print rows under their header, in columns as wide as needed."""
    texts = [[_one_line(str(cell)) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print `Name: value` lines with the values under each other."""
    width = max((len(name) for name, _ in fields), default=0) + 2
    for name, value in fields:
        say(f"{name + ':':{width}}{value}")


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def ago(text: str | None, now: datetime | None = None) -> str:
    """Return how long ago a time of the API was, in one unit."""
    if not text:
        return "-"
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{max(seconds, 0)}s ago"
