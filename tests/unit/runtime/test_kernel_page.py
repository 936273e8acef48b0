"""docs/kernel-parameters.md names everything that can be set, as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.kernel import SYSCTLS, ULIMITS

pytestmark = pytest.mark.unit
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "kernel-parameters.md").read_text()
ROWS = {row[0]: row for row in re.findall(r"^\| `([a-z0-9_.]+)` \|(.*)\|$", PAGE, re.MULTILINE)}
MEANINGS = {name: known.meaning for name, known in (SYSCTLS | ULIMITS).items()}


@pytest.mark.parametrize("name", list(MEANINGS))
def test_what_can_be_set_is_described(name: str) -> None:
    assert MEANINGS[name] in ROWS[name][1]


def test_the_bounds_are_those_of_the_code() -> None:
    numbers = {name: re.findall(r"\d+(?:\^\d+(?:-1)?)?", row[1].split("|")[0]) for name, row in ROWS.items()}
    for name, sysctl in SYSCTLS.items():
        shown = {eval(number.replace("^", "**")) for number in numbers[name]}
        assert {bound for pair in sysctl.bounds for bound in pair} <= shown, name
    for name, ulimit in ULIMITS.items():
        assert [eval(number.replace("^", "**")) for number in numbers[name]] == [
            ulimit.lowest,
            ulimit.highest,
        ]


def test_what_is_described_so_can_be_set() -> None:
    wanting = {name for name, row in ROWS.items() if row[1].count("|") >= 1 and name not in MEANINGS}
    assert wanting <= {"rtprio"}
