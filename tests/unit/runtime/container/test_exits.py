"""How a run ended, from its status, its out-of-memory count and its last words."""

from __future__ import annotations

import pytest

from runtime.container.exits import classify, exec_failure, lost
from runtime.model import ExitReason

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("code", "kills", "reason", "signal"),
    [
        (0, 0, ExitReason.EXITED, None),
        (3, 0, ExitReason.EXITED, None),
        (137, 0, ExitReason.SIGNALED, 9),
        (143, 0, ExitReason.SIGNALED, 15),
        (137, 1, ExitReason.OOM, 9),
        (1, 1, ExitReason.OOM, None),
        (0, 1, ExitReason.EXITED, None),
        (126, 0, ExitReason.NOT_EXECUTABLE, None),
        (127, 0, ExitReason.NOT_FOUND, None),
        (255, 0, ExitReason.EXITED, None),
        (128, 0, ExitReason.EXITED, None),
    ],
)
def test_classify(code: int, kills: int, reason: ExitReason, signal: int | None) -> None:
    info = classify(code, kills, 64 * 2**20, 7.0)
    assert (info.reason, info.code, info.signal, info.at) == (reason, code, signal, 7.0)


def test_messages_name_the_limit() -> None:
    assert "64 MiB" in classify(137, 1, 64 * 2**20, 0).message
    assert "2 of its processes" in classify(0, 2, 64 * 2**20, 0).message
    assert lost(1.0).reason is ExitReason.LOST


TIME = b"2026-01-01T00:00:00.000000000+00:00"


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ([b"stderr F ERROR (catatonit:2): failed to exec pid1: No such file or directory"], 127),
        ([b"stderr F ERROR (catatonit:2): failed to exec pid1: Permission denied"], 126),
        (
            [
                b"stderr P ERROR (catatonit:",
                b"stderr P 2",
                b"stderr F ): failed to exec pid1: Exec format error",
            ],
            126,
        ),
        ([b"stdout F ERROR (catatonit:2): failed to exec pid1: Permission denied"], None),
        ([b"stderr F ERROR (catatonit:2): failed to exec pid1: Permission denied", b"stderr F more"], None),
        ([b"stderr F something else"], None),
        ([], None),
    ],
)
def test_exec_failure(log: list[bytes], code: int | None) -> None:
    assert exec_failure(b"".join(TIME + b" " + line + b"\n" for line in log)) == code
