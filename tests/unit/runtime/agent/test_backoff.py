"""When a crashed instance starts again, and when a call is repeated."""

from __future__ import annotations

import pytest

from runtime.agent.backoff import count_failure, restart_delay, retry_delay

pytestmark = pytest.mark.unit


def test_the_first_restart_is_immediate_and_later_ones_wait_longer() -> None:
    delays = [restart_delay(failures) for failures in range(1, 10)]
    assert delays == [0, 10, 30, 60, 120, 240, 300, 300, 300]


def test_failures_count_up_until_a_run_was_steady() -> None:
    assert count_failure(0, 0) == 1
    assert count_failure(3, 59.9) == 4
    assert count_failure(3, 60) == 1


def test_retries_double_up_to_a_cap() -> None:
    assert [retry_delay(n) for n in range(1, 8)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
    assert retry_delay(10**6) == 5
