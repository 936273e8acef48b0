"""What makes stacks of equal packages equal, whenever they are made."""

from __future__ import annotations

import hashlib
import struct

import pytest

from paas.slugbuilder.java_keystore import undated as undated_keystore
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


def keystore(*dates: int, kind: int = 2) -> bytes:
    """A keystore as Java writes it, with one certificate a date."""
    body = struct.pack(">III", 0xFEEDFEED, 2, len(dates))
    for number, date in enumerate(dates):
        alias, content = f"debian:{number}.pem".encode(), b"certificate" * number
        body += struct.pack(">IH", kind, len(alias)) + alias + struct.pack(">Q", date)
        body += struct.pack(">H", 5) + b"X.509" + struct.pack(">I", len(content)) + content
    secret = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"
    return body + hashlib.sha1(secret + body, usedforsecurity=False).digest()


def test_a_keystore_holds_no_times() -> None:
    assert undated_keystore(keystore(1796, 1797, 1798)) == keystore(0, 0, 0)
    assert undated_keystore(keystore()) == keystore()


@pytest.mark.parametrize(
    "data",
    [b"", b"no keystore at all, but long enough for a digest", keystore(7)[:-1], keystore(7, kind=1),
     keystore(7)[:60] + b"x" + keystore(7)[61:]],
)  # fmt: skip
def test_another_or_a_damaged_keystore_stays(data: bytes) -> None:
    assert undated_keystore(data) == data
