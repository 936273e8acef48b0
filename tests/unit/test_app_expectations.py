"""The files beside the apps of tests/apps/ can be read, and each belongs to something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.expectation import FOLDER, expectations, read_expectation
from tests.apps.running import squeezed

pytestmark = pytest.mark.unit


def test_every_app_has_an_expectation_and_every_expectation_a_tree() -> None:
    named = {one.name: one for one in expectations()}
    folders = {entry.name for entry in FOLDER.iterdir() if entry.is_dir() and entry.name != "__pycache__"}
    assert folders <= set(named)
    for one in named.values():
        assert one.tree.is_dir() or one.generate, f"{one.name} has no files"
        assert not one.generate or (FOLDER / one.generate).is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('shows = "x"\noutputs = []', "unknown key 'outputs'"),
        ('shows = "x"\n[again]\nhttp = [{ path = "/", code = 1 }]', "again http: unknown key 'code'"),
        ('shows = "x"\nresult = "fail"', "result is one of ok, failed, refused"),
        ('shows = "x"\nresult = "failed"', "error belongs to"),
        ('shows = "x"\nerror = "x"', "error belongs to"),
        ('shows = "x"\nresult = "refused"', "say in output"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "app.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_expectation(file)


def test_wrapped_and_marked_lines_read_as_one_sentence() -> None:
    assert squeezed(" !     one\n !     two\n !\n-----> Three   four\n") == " one two Three four "
