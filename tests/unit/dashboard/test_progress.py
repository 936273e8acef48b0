"""The phases of a deploy, in order, each with its state."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from paas.controller.dashboard.progress import BUILD_AHEAD, DEPLOY_AHEAD, phase_rows

pytestmark = pytest.mark.unit

SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def states(
    timings: dict[str, object], current: str = "", failed: str = "", ahead: tuple[str, ...] = ()
) -> list[str]:
    return [f"{row.name} {row.state}" for row in phase_rows(timings, current, SINCE, failed, ahead)]


def test_a_deploy_that_runs_shows_what_is_behind_it_and_ahead() -> None:
    timings = {"build": 2.0, "queue": 0.1, "release": 0.5}
    assert states(timings, "start", ahead=DEPLOY_AHEAD) == [
        "queue done",
        "build done",
        "release done",
        "start active",
        "cutover waiting",
        "drain waiting",
    ]


def test_a_build_that_waits() -> None:
    assert states({}, "queue", ahead=BUILD_AHEAD)[:2] == ["queue active", "build waiting"]


def test_a_phase_that_was_skipped_is_not_shown_as_waiting() -> None:
    assert states({}, "cutover", ahead=DEPLOY_AHEAD) == ["cutover active", "drain waiting"]


def test_the_phase_that_failed_keeps_its_seconds() -> None:
    rows = phase_rows({"release": 0.2, "start": 60.0}, "", SINCE, "start", ())
    assert [(row.state, row.seconds) for row in rows] == [("done", 0.2), ("failed", 60.0)]


def test_unknown_phases_come_last_and_the_end_is_no_phase() -> None:
    assert states({"warp": 1.0, "build": 2, "done": 0.0, "note": "x"}) == ["build done", "warp done"]
