"""docs/operations.md names every setting there is, and its error message sends people there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from paas.configuration import FOREIGN, FOREIGN_PREFIXES, Configuration
from paas.supervisor.processes import PASSED_ON

pytestmark = pytest.mark.unit
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("name", [f"PAAS_{field.name.upper()}" for field in fields(Configuration)])
def test_every_setting_is_described(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_setting_that_is_described_exists() -> None:
    known = {f"PAAS_{field.name.upper()}" for field in fields(Configuration)} | FOREIGN
    described = set(re.findall(r"^\| `(PAAS_[A-Z_]+)`", PAGE, re.MULTILINE))
    assert not {name for name in described - known if not name.startswith(FOREIGN_PREFIXES)}


def test_every_setting_of_the_agent_that_is_described_reaches_it() -> None:
    rows = re.findall(r"^\| (`PAAS_AGENT_[^|]*)\|", PAGE, re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`(PAAS_AGENT_[A-Z_]+)`", row)}
    theirs = {
        f"PAAS_{field.name.upper()}" for field in fields(Configuration)
    }  # the platform's, which hands them on
    assert described - theirs <= PASSED_ON
