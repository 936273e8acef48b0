"""How a crash reads on a terminal.

In: a crash as the API tells it.  Out: lines: what ended, when and why, then what it had written first and last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def crash_report(one: Mapping[str, Any]) -> list[str]:
    lines = [_headline(one)]
    first, last = one["first_lines"], one["last_lines"]
    lines += [f"  {line}" for line in first]
    if first and last:
        lines.append("  …")
    lines += [f"  {line}" for line in last]
    if not first and not last:
        lines.append("  (it had written nothing)")
    return lines


def _headline(one: Mapping[str, Any]) -> str:
    lasted = "" if one["ran_seconds"] is None else f" after {one['ran_seconds']:.1f} s"
    where = f"v{one['release']['version']}, run {one['run']}, on {one['host']}"
    return f"{one['created_at']} {one['dyno']} {one['message']}{lasted} ({where})"
