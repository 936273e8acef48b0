"""What makes stacks of equal packages equal, whenever they are made."""

from __future__ import annotations

import pytest

from paas.slugbuilder.stack_making import undated

pytestmark = pytest.mark.unit


def test_accounts_hold_no_day() -> None:
    today = "root:*:20786:0:99999:7:::\nwww-data:*:20786:0:99999:7:::\napp:*:19000:0:99999:7:::\n"
    assert undated(today) == undated(today.replace("20786", "20785"))
    assert undated(today).splitlines()[0] == "root:*:19000:0:99999:7:::"
    assert undated(undated(today)) == undated(today)
    assert undated("") == ""


def test_what_is_no_account_stays() -> None:
    assert undated("+\nold:!:\n") == "+\nold:!:\n"
