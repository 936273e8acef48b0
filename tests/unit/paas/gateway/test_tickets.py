"""Tickets: what is signed comes back, and nothing else is honoured, and nothing twice."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.gateway.tickets import Ticket, TicketError, Used, issue, read

pytestmark = pytest.mark.unit
KEY = "k" * 32


def ticket(**changes: object) -> Ticket:
    given = {
        "agent": "https://127.0.0.1:5010",
        "identity": "paas://host/one",
        "container": "c",
        "expires": 100.0,
    }
    return Ticket(**(given | changes))


def test_what_is_signed_comes_back_as_one_word() -> None:
    given = ticket(exec="e", tty=True, rows=24, columns=80)
    text = issue(KEY, given)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert read(KEY, text, now=99.0) == given


def test_a_late_ticket_says_so() -> None:
    with pytest.raises(TicketError, match="within a minute"):
        read(KEY, issue(KEY, ticket()), now=101.0)


@given(st.binary(max_size=200))
def test_noise_is_no_ticket(noise: bytes) -> None:
    with pytest.raises(TicketError):
        read(KEY, noise.decode("latin-1"), now=0.0)


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_changed_ticket_is_no_ticket(place: int, other: str) -> None:
    text = issue(KEY, ticket(nonce="n"))
    place %= len(text) - 1  # the last character also has bits that say nothing
    changed = text[:place] + other + text[place + 1 :]
    if changed != text:
        with pytest.raises(TicketError):
            read(KEY, changed, now=0.0)


def test_another_installation_s_ticket_is_none() -> None:
    with pytest.raises(TicketError):
        read("x" * 32, issue(KEY, ticket()), now=0.0)


def test_once() -> None:
    used, one = Used(), ticket(expires=time.time() + 60)
    used.take(one)
    with pytest.raises(TicketError, match="already"):
        used.take(one)
    used.take(ticket(expires=time.time() + 60))
