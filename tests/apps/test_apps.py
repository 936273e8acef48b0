"""Every app under tests/apps/ is pushed to a platform and does what the file beside it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest

from tests.apps.expectation import Ask, Expectation, expectations
from tests.apps.running import Outcome, squeezed
from tests.e2e.platform import Answer, Platform

pytestmark = [pytest.mark.apps, pytest.mark.timeout(600)]
PATIENCE = 500.0  # seconds; apps that come later wait for those before them


@pytest.mark.parametrize("expected", expectations(), ids=lambda one: one.name)
def test_app(expected: Expectation, platform: Platform, outcome_of: Callable[[str], Future[Outcome]]) -> None:
    outcome = outcome_of(expected.name).result(PATIENCE)
    assert found_result(outcome) == (expected.result, expected.error), outcome.pushed.output
    check_lines(outcome, expected.output, expected.absent)
    for name, command in expected.process_types.items():
        assert outcome.process_types.get(name) == command, outcome.process_types
    check_answers(expected.http, outcome.answers)
    if expected.again is not None:
        assert outcome.again is not None
        assert outcome.again.pushed.code == 0, outcome.again.pushed.output
        check_lines(outcome.again, expected.again.output, expected.again.absent)
        check_answers(expected.again.http, outcome.again.answers)


def found_result(outcome: Outcome) -> tuple[str, str]:
    if outcome.pushed.code == 0:
        return "ok", ""
    return ("failed", outcome.error) if outcome.error else ("refused", "")


def check_lines(outcome: Outcome, present: Sequence[str], absent: Sequence[str]) -> None:
    for words in present:
        assert squeezed(words) in outcome.lines, f"{words!r} is missing in:\n{outcome.pushed.output}"
    for words in absent:
        assert squeezed(words) not in outcome.lines, f"{words!r} is in:\n{outcome.pushed.output}"


def check_answers(asks: Sequence[Ask], answers: Sequence[Answer]) -> None:
    for ask, answer in zip(asks, answers, strict=True):
        told = f"{ask.method} {ask.path}: {answer.status} {dict(answer.headers)}\n{answer.text[:2000]}"
        assert answer.status == ask.status, told
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        for name, value in ask.headers.items():
            assert value in lowered.get(name.lower(), ""), told
        for words in ask.body:
            assert words in answer.text, told
