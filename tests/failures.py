"""A pytest plugin: every failed test in one line, in a file that outlives pytest.

In: reports, the file named by `PAAS_TEST_FAILURES`.  Out: lines of a test's id and the first line of what it said.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

LONGEST = 240  # characters of what a test said


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.failed and "PAAS_TEST_FAILURES" in os.environ:
        when = "" if report.when == "call" else f" ({report.when})"
        line = f"FAILED {report.nodeid}{when}: {first_line(report)}\n"
        with Path(os.environ["PAAS_TEST_FAILURES"]).open("a") as file:
            file.write(line)


def first_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash is not None else report.longreprtext.strip().rpartition("\n")[2]
    return said.strip().partition("\n")[0][:LONGEST]
