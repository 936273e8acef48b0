"""docs/mission.md has a row for every promise, and every test and script it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "mission.md").read_text()
ROWS = dict(re.findall(r"^\| ((?:DK|R|O|N|V)\d+) \|(.*)\|$", PAGE, re.MULTILINE))
PROMISES = (
    *(f"DK{number}" for number in (1, 3, 5, 6, 8, 11, 12, 13, 14, 15, 16, 18, 19)),
    *("R1", "R5"),
    *(f"O{number}" for number in range(1, 7)),
    *(f"N{number}" for number in range(2, 8)),
    *("V6", "V7", "V8"),
)


def named(row: str) -> list[tuple[str, str]]:
    """The tests of a row: file and function. `::name` alone is in the file named before it."""
    found: list[tuple[str, str]] = []
    for file, function in re.findall(r"`([\w/.]*)::(\w+)`", row):
        found.append((file or found[-1][0], function))
    return found


def test_every_promise_has_one_row() -> None:
    assert sorted(ROWS) == sorted(PROMISES)
    assert len(re.findall(r"^\| (?:DK|R|O|N|V)\d+ \|", PAGE, re.MULTILINE)) == len(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_its_tests_exist(promise: str) -> None:
    row = ROWS[promise]
    tests = named(row)
    assert tests or "| Not shown |" in row
    for file, function in tests:
        assert re.search(rf"^\s*(?:async )?def {function}\(", (ROOT / file).read_text(), re.MULTILINE), (
            function
        )


def test_the_scripts_exist() -> None:
    scripts = re.findall(r"`(bench/\w+\.py)`", PAGE)
    assert scripts and all((ROOT / script).is_file() for script in scripts)
