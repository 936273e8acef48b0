"""A short-named work folder per test."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def work():
    folder = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    folder.chmod(0o755)  # nginx, started by root, works as another user
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
