"""An OCI runtime as a sealed copy in memory, made once, where crun would make one of itself at every start.

In: the path of a program.  Out: a path in the private mount namespace that runs the copy.

What runs in a container may get hold of the file of a runtime that enters it, and write to it (CVE-2019-5736). So crun
shows itself a read-only mount of its own file, made for a moment over a file in /tmp, and executes itself once more.
What is sealed against every change needs neither (`is_self_cloned` in its cloned_binary.c). The copy is this process's:
no path of another one, or of a later one, leads to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path

_ALL = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_COPIES_ITSELF = "crun"
_ELF = b"\x7fELF"
Identity = tuple[int, int, int, int]  # device, inode, size, time of change


class Sealed:
    """Copies of one engine. `directory` is for the links to them. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._copies: dict[str, tuple[Identity, int]] = {}

    def of(self, program: str) -> str:
        """Return the path that runs the copy; `program` itself where a copy is of no use. One that was replaced, by an
        update of its package, is copied anew. In the mount namespace."""
        if Path(program).name != _COPIES_ITSELF:
            return program
        try:
            with self._lock:
                number = self._numbers.setdefault(program, len(self._numbers))
                return self._shown(program, self._directory / str(number) / _COPIES_ITSELF)
        except OSError:  # then it copies itself
            return program

    def close(self) -> None:
        with self._lock:
            for _, descriptor in self._copies.values():
                os.close(descriptor)
            self._copies.clear()

    def _shown(self, program: str, link: Path) -> str:
        status = Path(program).stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        before = self._copies.get(program)
        if before is None or before[0] != identity:
            data = Path(program).read_bytes()
            if not data.startswith(_ELF):  # a script would ask for its own file by that path
                return program
            descriptor = _seal(data)
            self._copies[program] = identity, descriptor
            _point(link, f"/proc/{os.getpid()}/fd/{descriptor}")
            if before is not None:
                os.close(before[1])
        return str(link)


def _seal(data: bytes) -> int:
    descriptor = os.memfd_create(_COPIES_ITSELF, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _ALL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _point(link: Path, target: str) -> None:
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = link.with_name("new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    draft.symlink_to(target)
    draft.replace(link)
