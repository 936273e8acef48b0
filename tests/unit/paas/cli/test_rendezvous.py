"""The platform's last words in a session are no output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.cli.rendezvous import MARK, STATUS, split_status

pytestmark = pytest.mark.unit


@given(st.binary(max_size=60), st.integers(0, 255), st.lists(st.integers(0, 80), max_size=4))
def test_the_status_is_found_however_it_arrives(output: bytes, code: int, cuts: list[int]) -> None:
    whole = output + MARK + b"%d\r\n" % code
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    shown, held = b"", b""
    for start, end in zip(places, places[1:], strict=False):
        more, held = split_status(held + whole[start:end])
        shown += more
    match = STATUS.fullmatch(held)
    assert match is not None and int(match[1]) == code
    assert shown == output


def test_what_only_looks_like_it_is_output() -> None:
    assert split_status("price: \uffff".encode() + b" done, and more") == (
        "price: \uffff".encode() + b" done, and more",
        b"",
    )
