"""A program is copied once, nobody can write to the copy, and a new version of it is copied anew."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.container.sealed import Sealed


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Sealed]:
    made = Sealed(tmp_path / "bin")
    yield made
    made.close()


def program(place: Path, model: str) -> str:
    file = place / "crun"
    draft = place / "draft"
    draft.write_bytes(Path(model).read_bytes())
    draft.chmod(0o755)
    draft.replace(file)
    return str(file)


def code_of(path: str) -> int:
    return subprocess.run([path], check=False).returncode


def test_the_copy_runs_and_cannot_be_written(tmp_path: Path, sealed: Sealed) -> None:
    original = program(tmp_path, "/bin/false")
    copy = sealed.of(original)
    assert copy != original and Path(copy).name == "crun" and code_of(copy) == 1
    assert os.stat(copy).st_ino == os.stat(sealed.of(original)).st_ino  # the same one, the second time
    with pytest.raises(OSError):
        os.open(copy, os.O_WRONLY | os.O_TRUNC)
    descriptor = os.open(copy, os.O_RDWR)
    try:
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def test_a_new_version_is_copied_anew(tmp_path: Path, sealed: Sealed) -> None:
    assert code_of(sealed.of(program(tmp_path, "/bin/false"))) == 1
    assert code_of(sealed.of(program(tmp_path, "/bin/true"))) == 0


def test_scripts_others_and_what_is_not_there_stay_what_they_are(tmp_path: Path, sealed: Sealed) -> None:
    script = tmp_path / "crun"
    script.write_text("#!/bin/sh\n")
    absent = str(tmp_path / "absent" / "crun")
    for path in (str(script), "/usr/bin/runc", absent):
        assert sealed.of(path) == path
