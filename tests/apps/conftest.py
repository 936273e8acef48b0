"""One platform for all apps, two of them on it at a time.

In: the apps that were chosen (`-k`).  Out: `outcome_of`: what became of one; nothing of the platform afterwards.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.apps.expectation import FOLDER, Expectation
from tests.apps.running import Outcome, run_app
from tests.e2e.platform import PORTS, Platform

AT_ONCE = 2  # a build waits for the network about half of its time
collect_ignore = [
    entry.name for entry in FOLDER.iterdir() if entry.is_dir()
]  # the apps' own tests are theirs


@pytest.fixture(scope="session")
def platform(free_ports: Callable[[int], list[int]]) -> Iterator[Platform]:
    one = Platform.prepare(free_ports(len(PORTS)))
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="session")
def outcome_of(
    platform: Platform, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Future[Outcome]]]:
    """Begin with all chosen apps; give the outcome of one, when it is there."""
    chosen: list[Expectation] = [
        item.callspec.params["expected"] for item in request.session.items if hasattr(item, "callspec")
    ]  # fmt: skip
    work = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="app")
    futures = {one.name: pool.submit(run_app, platform, one, work / one.name) for one in chosen}
    try:
        yield futures.__getitem__
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(work, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the platform's logs with a failure that the pusher's own lines do not explain."""
    report = (yield).get_result()
    running = getattr(item, "funcargs", {}).get("platform")
    if (
        report.when == "call"
        and report.failed
        and running is not None
        and "internal_error" in report.longreprtext
    ):
        report.sections.append(("platform logs", running.logs()))
