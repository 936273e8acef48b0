"""One push per repository. In: the repository's path.  Out: a lock that dies with its process (flock(2))."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.controller.git.port import GitRefused

LOCK_NAME = "push.lock"


class PushInProgress(GitRefused):
    """Somebody else holds the lock."""


@contextmanager
def hold(repo: Path) -> Iterator[None]:
    """Hold the repository for the block; raises PushInProgress at once when it is held."""
    fd = os.open(repo / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PushInProgress(
                "another push to this app is in progress; push again when it has ended"
            ) from None
        yield
    finally:
        os.close(fd)
