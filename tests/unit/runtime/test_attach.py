"""Frames of the websocket client, and the controls that both sides know."""

from __future__ import annotations

import pytest

from runtime.attach import Broken, Control, Ended, InputEnd, Resize, SendSignal, attach_path, render_frame
from runtime.model import decode, encode

pytestmark = pytest.mark.unit
MASK = bytes.fromhex("37fa213d")


def test_the_example_of_the_rfc() -> None:
    """RFC 6455 section 5.7: a single-frame masked text message."""
    assert render_frame(1, b"Hello", MASK) == bytes.fromhex("818537fa213d7f9f4d5158")


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_every_length_is_masked_and_comes_back(size: int, head: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    frame = render_frame(2, data[:size], MASK)
    assert len(frame) == head + 4 + size
    body = frame[head + 4 :]
    assert bytes(byte ^ MASK[place % 4] for place, byte in enumerate(body)) == data[:size]


@pytest.mark.parametrize(
    "value",
    [Resize(rows=1, columns=2), InputEnd(), SendSignal(number=15), Ended(code=3), Broken(message="why")],
)
def test_controls_are_told_apart_by_their_type(value: Control) -> None:
    assert decode(encode(value), Control) == value  # type: ignore[arg-type]


def test_paths() -> None:
    assert attach_path("a") == "/v1/containers/a/attach?rows=0&columns=0"
    assert attach_path("a", first=True, rows=2, columns=3).endswith("rows=2&columns=3&first=1")
