"""HAProxy's JSON lines become Heroku's router lines; its termination states become H-codes."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.router.accesslog import DESCRIPTIONS, STATES, access_line, code_of, is_remark, read_line

pytestmark = pytest.mark.unit

GOOD = {
    "k": "key",
    "at": 1795421230441,
    "app": "0af3",
    "host": "one.localhost",
    "method": "GET",
    "path": "/x?y=1",
    "status": 200,
    "state": "----",
    "server": "web.1:1f0e:00000000",
    "code": "-",
    "id": "01234567-89ab",
    "fwd": "1.2.3.4",
    "receive": 1,
    "wait": 2,
    "connect": 3,
    "active": 20,
    "bytes": 321,
    "tls": 0,
}


def line(**changes):
    found = read_line(json.dumps(GOOD | changes).encode(), "key")
    assert found is not None
    return found


def test_a_good_request():
    one = access_line(line())
    assert one is not None
    assert one.text == (
        'at=info method=GET path="/x?y=1" host=one.localhost request_id=01234567-89ab fwd="1.2.3.4" '
        "dyno=web.1 connect=3ms service=14ms status=200 bytes=321 protocol=http"
    )
    assert (one.app, one.at, one.status, one.dyno) == ("0af3", 1795421230.441, 200, "web.1")
    assert (one.connect_ms, one.service_ms, one.bytes, one.code) == (3, 14, 321, "")


def test_a_timeout():
    one = access_line(line(status=503, state="sH--", active=30001, receive=0, wait=0, connect=0, tls=1))
    assert one is not None
    assert one.text.startswith('at=error code=H12 desc="Request timeout" method=GET path="/x?y=1" ')
    assert one.text.endswith("connect=0ms service=30001ms status=503 bytes=321 protocol=https")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "----"}, ""),
        ({"state": "LR--", "code": "H14", "server": "<NOSRV>"}, "H14"),
        ({"state": "LR--", "code": "H80"}, "H80"),
        ({"state": "sH--"}, "H12"),
        ({"state": "SH--"}, "H13"),
        ({"state": "sD--"}, "H15"),
        ({"state": "PH--"}, "H17"),
        ({"state": "SD--"}, "H18"),
        ({"state": "sC--"}, "H19"),
        ({"state": "SC--"}, "H21"),
        ({"state": "SC--", "server": "<NOSRV>"}, "H10"),
        ({"state": "DD--"}, "H10"),
        ({"state": "CD--"}, "H27"),
        ({"state": "cD--"}, "H28"),
        ({"state": "RC--"}, "H99"),
        ({"state": "IH--"}, "H99"),
        ({"state": "CD--", "status": 101}, ""),
        ({"state": "sD--", "status": 101}, ""),
        ({"state": "PR--", "status": 400}, ""),
    ],
)
def test_codes(changes, code):
    assert code_of(line(**changes)) == code


def test_every_code_has_its_description():
    assert set(STATES.values()) <= set(DESCRIPTIONS)


def test_a_client_that_left_is_499_and_no_error():
    one = access_line(line(state="CH--", status=-1, connect=-1, receive=-1, wait=-1, active=5))
    assert one is not None
    assert one.text.startswith('at=info code=H27 desc="Client Request Interrupted"')
    assert (one.status, one.connect_ms, one.service_ms) == (499, 0, 5)


def test_requests_of_no_app_are_nobodys_line():
    assert access_line(line(app="-")) is None
    assert access_line(line(app="")) is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"Server s1/web.1:i:0 is DOWN, reason: Layer4 connection problem",
        b'{"k":"key"}',
        b"{broken",
        json.dumps(GOOD | {"k": "forged"}).encode(),
        json.dumps(GOOD | {"more": 1}).encode(),
        json.dumps(GOOD)[:-20].encode(),
        b'{"k":"\xff"}',
    ],
)
def test_what_is_not_a_line_of_ours_is_ignored(message):
    assert read_line(message, "key") is None


def test_remarks_are_told_apart():
    assert is_remark(b"Server s1/web.1:i:0 is UP/READY (leaving forced maintenance).")
    assert not is_remark(json.dumps(GOOD).encode())


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=20), st.text(max_size=20))
def test_no_client_can_forge_a_line(path, fwd, host, method):
    one = access_line(line(path=path, fwd=fwd, host=host, method=method))
    assert one is not None
    assert one.text.isprintable()
    fields = dict(word.partition("=")[::2] for word in shlex.split(one.text))
    assert list(fields)[:2] == ["at", "method"]
    assert len(fields) == 12
    assert (fields["status"], fields["dyno"], fields["protocol"]) == ("200", "web.1", "http")
