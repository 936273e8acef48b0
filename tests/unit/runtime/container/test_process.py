"""Parsing what /proc says of processes."""

from __future__ import annotations

import os
import resource

import pytest

from runtime.container import process

pytestmark = pytest.mark.unit


def test_start_time_survives_any_command_name() -> None:
    stat = "12 (a) b) (c) S " + " ".join(str(number) for number in range(4, 52))
    assert process.parse_start_time(stat) == 22
    assert process.start_time(os.getpid()) > 0
    assert process.start_time(2**22 + 1) == 0


def test_a_reused_pid_is_another_process() -> None:
    started = process.start_time(os.getpid())
    assert process.wait_gone(os.getpid(), started + 1, 0)
    assert not process.wait_gone(os.getpid(), started, 0)
    assert not process.send(os.getpid(), started + 1, 9)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((b"/usr/bin/conmon", b"-b", b"/h/c/web"), True),
        ((b"crun", b"create", b"--bundle", b"/h/c/web"), True),
        ((b"conmon", b"-b", b"/h/c/web2"), False),
        ((b"tail", b"-f", b"/h/c/web"), False),
        ((b"",), False),
    ],
)
def test_only_supervisors_of_that_bundle(words: tuple[bytes, ...], expected: bool) -> None:
    assert process.is_supervisor(b"\0".join(words) + b"\0", "/h/c/web") is expected


def test_signal_mask_joins_blocked_and_caught() -> None:
    status = "Name:\tx\nSigBlk:\t0000000000004000\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000002\n"
    assert process.parse_signal_mask(status) == 0x4002


def test_who_cannot_be_looked_at_is_not_taken_for_gone() -> None:
    started = process.start_time(os.getpid())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # not one more descriptor
    try:
        gone = process.wait_gone(os.getpid(), started, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not gone
