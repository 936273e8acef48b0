"""Accept headers, bodies, credentials, event frames: pure parts of the API."""

from __future__ import annotations

import base64
import errno

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from paas.controller.api.authentication import read_credentials
from paas.controller.api.errors import sentences, translate
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


@pytest.mark.parametrize("body", [rb'{"a": "\ud800"}', rb'{"\uDFFF": 1}', b'{"a": ["\xed\xa0\x80"]}'])
def test_half_of_a_surrogate_pair_is_no_text(body: bytes) -> None:
    with pytest.raises(BadRequest, match="surrogate"):
        parse_object(body)


def test_a_whole_surrogate_pair_is_a_letter() -> None:
    assert parse_object(rb'{"a": "\ud83d\ude00"}') == {"a": "\N{GRINNING FACE}"}


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OperationalError("database or disk is full")],
)
def test_a_full_disk_is_told_in_words(error: Exception) -> None:
    told = translate(error)
    assert told is not None
    assert (told.id, told.status) == ("storage_full", 503)
    assert "disk" in told.message and "nothing was changed" in told.message


def test_a_database_that_is_away_is_no_fault_of_the_platform() -> None:
    told = translate(OperationalError("server closed the connection unexpectedly"))
    assert told is not None
    assert told.status == 503
    assert translate(OSError(errno.EPERM, "not permitted")) is None


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
