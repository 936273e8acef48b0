"""Whether a Node version satisfies `engines.node`.

In: an npm semver range and a version.  Out: true or false; ValueError for a range that is none.
Grammar: https://github.com/npm/node-semver#ranges (without prereleases, which no stack ships).
"""

from __future__ import annotations

import re

Version = tuple[int, int, int]
NONE = 1_000_000_000  # above every version part

PARTIAL = (
    r"[v=]*\s*(x|X|\*|\d+)(?:\.(x|X|\*|\d+)(?:\.(x|X|\*|\d+)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?)?"
)
HYPHEN = re.compile(rf"\s*{PARTIAL}\s+-\s+{PARTIAL}\s*")
COMPARATOR = re.compile(rf"\s*(<=|>=|<|>|~>?|\^|)\s*{PARTIAL}(?=\s|$)")
EXACT = re.compile(r"\s*[v=]*\s*\d+\.\d+\.\d+\s*")


def parse_version(text: str) -> Version:
    """`v20.19.2` → (20, 19, 2)."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no version")
    return int(match[1]), int(match[2]), int(match[3])


def satisfies(version: Version, range_: str) -> bool:
    """True when `version` is inside `range_`."""
    # every alternative is parsed, so that a bad one is told even behind one that fits
    results = [all(low <= version < high for low, high in intervals(part)) for part in range_.split("||")]
    return any(results)


def is_exact(range_: str) -> bool:
    """True for a full single version such as `20.11.0`."""
    return EXACT.fullmatch(range_) is not None


def intervals(text: str) -> list[tuple[Version, Version]]:
    """All half-open intervals [low, high) that one `||` alternative demands at once."""
    hyphen = HYPHEN.fullmatch(text)
    if hyphen is not None:
        low, _ = span(hyphen.groups()[:3])
        _, high = span(hyphen.groups()[3:])
        return [(low, high)]
    found, position = [], 0
    while text[position:].strip():
        match = COMPARATOR.match(text, position)
        if match is None:
            raise ValueError(f"{text.strip()!r} is no version range")
        found.append(interval(match[1], match.groups()[1:]))
        position = match.end()
    return found


def interval(operator: str, parts: tuple[str | None, ...]) -> tuple[Version, Version]:
    low, high = span(parts)
    bottom, top = (0, 0, 0), (NONE, 0, 0)
    if operator == ">=":
        return low, top
    if operator == ">":
        return high, top
    if operator == "<":
        return bottom, low
    if operator == "<=":
        return bottom, high
    if operator in ("~", "~>"):
        return low, high if given(parts) < 3 else (low[0], low[1] + 1, 0)
    if operator == "^":
        return low, caret_top(low, given(parts))
    return low, high


def given(parts: tuple[str | None, ...]) -> int:
    """How many leading parts are numbers: `20.x` → 1."""
    count = 0
    for part in parts:
        if part is None or not part.isdigit():
            break
        count += 1
    return count


def span(parts: tuple[str | None, ...]) -> tuple[Version, Version]:
    """The versions that a partial version covers: `20.1` → (20.1.0, 20.2.0)."""
    numbers = [int(part) for part in parts[: given(parts)] if part is not None]
    if not numbers:
        return (0, 0, 0), (NONE, 0, 0)
    low = (*numbers, 0, 0)[:3]
    high = (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def caret_top(low: Version, count: int) -> Version:
    """The first version that changes the leftmost non-zero part."""
    if low[0] > 0 or count == 1:
        return low[0] + 1, 0, 0
    if count == 0:
        return NONE, 0, 0
    if low[1] > 0 or count == 2:
        return 0, low[1] + 1, 0
    return 0, 0, low[2] + 1
