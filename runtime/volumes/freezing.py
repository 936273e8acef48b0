"""A mounted file system stands still while it is copied.

In: a mount point and a deadline.  Out: a block during which nothing is written and everything is on disk; it fails if
the file system was let go before its end. Three ways lead out of a freeze: its end; the guard, a process of its own,
at the deadline or when this process dies; and the next agent, should the guard have been killed as well.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from runtime.volumes import guard
from runtime.volumes.errors import VolumeError

_ANSWERS_WITHIN = 10.0


@contextlib.contextmanager
def frozen(target: Path, seconds: float) -> Iterator[None]:
    """Freeze the file system at `target` for at most `seconds`. Raises VolumeError when that was too short."""
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    command = [sys.executable, "-I", "-S", guard.__file__, str(descriptor), str(seconds)]
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(descriptor,),
            start_new_session=True,
        ) as process:
            try:
                _expect(process, "frozen", "could not be held still")
                yield
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(b".")
                _expect(process, "thawed", f"could not be copied within {seconds:g} seconds")
            finally:
                with contextlib.suppress(OSError):
                    process.stdin.close()  # type: ignore[union-attr]
                process.wait(seconds + _ANSWERS_WITHIN)
                _let_go(descriptor)
    finally:
        os.close(descriptor)


def thaw(target: Path) -> None:
    """Let a file system go that a killed process may have left frozen. Nothing when it is not."""
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _let_go(descriptor)
    finally:
        os.close(descriptor)


def _let_go(descriptor: int) -> None:
    try:
        fcntl.ioctl(descriptor, guard.THAW, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:  # it is not frozen
            raise


def _expect(process: subprocess.Popen[bytes], word: str, problem: str) -> None:
    assert process.stdout is not None
    answer = process.stdout.readline().strip().decode()
    if answer != word:
        raise VolumeError(f"The volume {problem}; its writers went on. Try again when it is written to less.")
