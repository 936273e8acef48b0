"""One platform for all end-to-end tests, and fresh apps on it.

In: a machine with script/setup done.  Out: `platform`, `make_repository`; the logs of the platform when a test fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.platform import PORTS, ROOT, Platform, repository
from tests.e2e.registries import registries_of
from tests.system.runtime.outside import some_network

SETTINGS = {
    "PAAS_BOOT_TIMEOUT": "10",  # bounds that tests run into
    "PAAS_GIT_MAX_PACK": str(16 * 1024**2),
    "PAAS_SOURCE_NETWORKS": "127.0.0.0/8",  # where the git server of a test is
}


@pytest.fixture(scope="session")
def outside_network() -> str:
    """Where a test may put a machine that builds reach."""
    return some_network()


@pytest.fixture(scope="session")
def platform(free_ports: Callable[[int], list[int]], outside_network: str) -> Iterator[Platform]:
    """A running platform with the host stack and no app."""
    *ports, registry = free_ports(len(PORTS) + 1)
    insecure = f"127.0.0.1:{ports[0]} 127.0.0.1:{registry}"  # its own, and one that a test may start
    insecure += "".join(f" {place}" for place in registries_of(outside_network))
    one = Platform.prepare(ports, **SETTINGS, PAAS_INSECURE_REGISTRIES=insecure)
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[..., Path]:
    """Make a git repository, of a folder under examples/ or of texts by path."""

    def make(example: str | None = None, files: Mapping[str, str] | None = None, name: str = "app") -> Path:
        source = ROOT / "examples" / example if example else None
        return repository(tmp_path / name, source, files)

    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the platform's logs with a failure: they are gone with its folder afterwards."""
    outcome = yield
    report = outcome.get_result()
    running = getattr(item, "funcargs", {}).get("platform")
    if report.when == "call" and report.failed and running is not None:
        report.sections.append(("platform logs", running.logs()))
