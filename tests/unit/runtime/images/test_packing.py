"""Trees that pack alike have one fingerprint, others have another; notes are few and never believed by themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.images.fingerprint import LARGE, fingerprint, of_bytes
from runtime.images.packing import NOTES_BYTES, NOTES_MAX, Note, Notes, noted, read_notes, write_notes

pytestmark = pytest.mark.unit


def tree(top: Path) -> Path:
    (top / "lib").mkdir(parents=True)
    (top / "lib" / "one.py").write_text("one")
    (top / "lib" / "big").write_bytes(bytes(LARGE + 1))
    (top / "lib" / "two.py").write_text("two")
    (top / "link").symlink_to("lib/one.py")
    os.link(top / "lib" / "two.py", top / "hard")
    (top / "empty").mkdir()
    return top


def replace_link(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("lib/two.py")


def copy_hard_link(top: Path) -> None:
    (top / "hard").unlink()
    (top / "hard").write_text("two")


def flip_last_byte(top: Path) -> None:
    (top / "lib" / "big").write_bytes(bytes(LARGE) + b"\1")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda top: (top / "lib" / "one.py").write_text("0ne"),
    "the last byte of a large file": flip_last_byte,
    "a mode": lambda top: (top / "lib" / "one.py").chmod(0o755),
    "the mode of a folder": lambda top: (top / "empty").chmod(0o700),
    "the mode of the top": lambda top: top.chmod(0o700),
    "a name": lambda top: (top / "lib" / "one.py").rename(top / "lib" / "on.py"),
    "a place": lambda top: (top / "lib" / "one.py").rename(top / "one.py"),
    "a link's goal": replace_link,
    "a hard link that is a copy now": copy_hard_link,
    "an empty folder": lambda top: (top / "empty").rmdir(),
    "a pipe": lambda top: os.mkfifo(top / "pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_difference_that_packing_keeps_counts(tmp_path: Path, change: str) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert fingerprint(str(first)) == fingerprint(str(second)), "made at other times, in another folder"
    CHANGES[change](second)
    assert fingerprint(str(first)) != fingerprint(str(second))


def test_times_count_where_they_are_kept(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    for top in (first, second):
        for path in (top, *top.rglob("*")):
            os.utime(path, (5, 5), follow_symlinks=False)
    assert fingerprint(str(first), keep_times=True) == fingerprint(str(second), keep_times=True)
    os.utime(second / "lib" / "one.py", (5, 6))
    assert fingerprint(str(first)) == fingerprint(str(second))
    assert fingerprint(str(first), keep_times=True) != fingerprint(str(second), keep_times=True)


def test_what_stays_out_does_not_count(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    (second / "lib" / "one.py").write_text("other")
    assert fingerprint(str(first), without=("lib",)) == fingerprint(str(second), without=("lib",))
    assert fingerprint(str(first), without=("li",)) != fingerprint(str(second), without=("li",))


def test_parts_do_not_run_into_each_other() -> None:
    assert of_bytes(b"ab", b"c") != of_bytes(b"a", b"bc")


def test_notes_are_few_and_the_last_used_stay(tmp_path: Path) -> None:
    notes = Notes()
    for number in range(NOTES_MAX + 5):
        notes = noted(notes, Note(fingerprint=f"{number:064}", digest=f"sha256:{number:064}", size=1))
        notes = noted(notes, Note(fingerprint=f"{0:064}", digest=f"sha256:{0:064}", size=1))
    assert len(notes.notes) == NOTES_MAX
    assert notes.notes[-1].fingerprint == f"{0:064}"
    write_notes(tmp_path / "notes", notes)
    assert read_notes(tmp_path / "notes") == notes
    assert (tmp_path / "notes").stat().st_size < NOTES_BYTES


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"notes": [{"fingerprint": 1}]}', bytes(NOTES_BYTES)]
)
def test_notes_that_cannot_be_read_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").write_bytes(content)
    assert read_notes(tmp_path / "notes") == Notes()
    assert read_notes(tmp_path / "missing") == Notes()
