"""Real agent processes over plain processes, with a real HTTP controller beside them."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import Agent
from fake_controller import FakeController
from process_engine import ProcessEngine


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def agent(home: Path, controller: FakeController) -> Iterator[Agent]:
    one = Agent(home, controller.url)
    yield one
    if one.process and one.process.poll() is None:
        one.end(signal.SIGKILL)
    engine = ProcessEngine(home)
    engine.open()
    engine.close(remove=True)
