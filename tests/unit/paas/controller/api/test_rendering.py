"""Accept headers, bodies, credentials, event frames: pure parts of the API."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.controller.api.authentication import read_credentials
from paas.controller.api.errors import sentences
from paas.controller.api.log_sessions import entry_order, event
from paas.controller.api.rendering import accepts, parse_object
from paas.controller.selectors.logs import LogEntry
from paas.errors import BadRequest

pytestmark = pytest.mark.unit


@given(st.text())
def test_no_accept_header_is_too_strange(header: str) -> None:
    assert accepts(header) in (True, False)


@given(st.binary())
def test_a_body_is_an_object_or_a_bad_request(body: bytes) -> None:
    try:
        assert isinstance(parse_object(body), dict)
    except BadRequest as error:
        assert "JSON" in error.message


@given(st.text())
def test_credentials_are_read_or_empty(header: str) -> None:
    user, secret = read_credentials(header)
    assert isinstance(user, str) and isinstance(secret, str)


def test_a_password_may_hold_colons_and_any_letter() -> None:
    header = "Basic " + base64.b64encode("ada@example.com:pä:ss".encode()).decode()
    assert read_credentials(header) == ("ada@example.com", "pä:ss")


def test_errors_of_nested_fields_become_sentences() -> None:
    detail = {"updates": {0: {"quantity": ["Too many."]}}, "non_field_errors": ["Give one."]}
    assert sentences(detail) == ["updates.0.quantity: Too many.", "Give one."]


@given(st.text())
def test_no_text_breaks_out_of_its_event(text: str) -> None:
    frame = event(LogEntry("1-0", 0.0, "app", "web.1", text))
    assert frame.endswith("\n\n") and "\r" not in frame
    lines = frame[:-2].split("\n")
    assert lines[0] == "id: 1-0"
    assert all(line.startswith("data: ") for line in lines[1:])


def test_entry_ids_are_ordered_as_numbers() -> None:
    assert entry_order("9-10") > entry_order("9-9") and entry_order("10-0") > entry_order("9-99")
