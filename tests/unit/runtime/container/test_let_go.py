"""Starting by the runtime's fifo: the byte arrives, the fifo goes, and whatever is odd is left to the runtime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.container.conmon import let_go

pytestmark = pytest.mark.unit


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / "exec.fifo")
    return tmp_path / "c" / "exec.fifo"


def test_a_waiting_init_gets_its_byte(tmp_path: Path, fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert let_go("/usr/bin/crun", str(tmp_path), "c")
        assert os.read(reader, 9) == b"\0"
    finally:
        os.close(reader)
    assert not fifo.exists()


def test_nobody_waits_any_more(tmp_path: Path, fifo: Path) -> None:
    """The agent was killed after the byte and before the fifo went."""
    assert let_go("/usr/bin/crun", str(tmp_path), "c")
    assert not fifo.exists()


def test_without_a_fifo_or_with_another_runtime_it_is_left_to_the_runtime(tmp_path: Path, fifo: Path) -> None:
    assert not let_go("/usr/bin/runc", str(tmp_path), "c")
    assert fifo.exists()
    fifo.unlink()
    assert not let_go("/usr/bin/crun", str(tmp_path), "c")
