"""What the engine remembers of a container: written a line at a time, read back whole, from earlier versions too."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtime.container.layout import Layout
from runtime.container.storage import Record, load, load_all, save
from runtime.model import encode

pytestmark = pytest.mark.unit
RECORD = Record(
    id="a", owner="app", name="web.1", boot_id="b", pid=7, pid_started=1, conmon_pid=8, conmon_started=2,
    memory_limit_bytes=1,
)  # fmt: skip


def test_the_last_whole_line_counts(tmp_path: Path) -> None:
    file = tmp_path / "a"
    assert load(file) is None
    save(file, RECORD)
    changed = msgspec.structs.replace(RECORD, started_at=1.5, name="a\nb")
    save(file, changed)
    assert load(file) == changed
    with file.open("ab") as stream:
        stream.write(b"\n" + encode(RECORD)[:40])  # the disk was full
    assert load(file) == changed
    save(file, RECORD)
    assert load(file) == RECORD


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"{", b"\xff\n{}\n"])
def test_what_a_power_cut_left_is_no_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert load(tmp_path / "a") is None


def test_one_of_an_earlier_version_stays_where_it_is(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "x")
    layout.records.mkdir()
    (layout.records / "old").mkdir()
    (layout.records / "half").mkdir()
    (layout.records / "old" / "record.json").write_bytes(encode(RECORD))
    save(layout.record("new"), RECORD)
    assert (layout.record("new"), layout.bundle("new")) == (tmp_path / "c" / "new", layout.run / "b" / "new")
    assert layout.bundle("old") == layout.late_hooks_of("old") == tmp_path / "c" / "old"
    assert load_all(layout) == (RECORD, RECORD)
