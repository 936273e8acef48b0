"""Loop devices over files of this platform that nothing has mounted.

In: /sys/block.  Out: leftovers; a device in use is never touched, because the kernel refuses to share it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath

from runtime.doctor.place import Known, Leftover, Place

LOOP_CLR_FD = 0x4C01


def look(place: Place, known: Known) -> Iterator[Leftover]:
    for entry in sorted(Path("/sys/block").glob("loop*")):
        try:
            backing = (entry / "loop" / "backing_file").read_text().rstrip("\n")
        except OSError:
            continue
        file = PurePath(backing.removesuffix(" (deleted)"))
        if not file.is_relative_to(place.home):
            continue
        device = Path("/dev", entry.name)
        if is_unused(device):
            problem = f"holds {file}, and nothing has it mounted"
            yield Leftover("loop device", str(device), problem, partial(_detach, device))
        elif problem := judge_used(file, place.home, known):
            yield Leftover("loop device", str(device), problem)


def is_unused(device: Path) -> bool:
    """An exclusive open fails while a file system of the device is mounted anywhere, in whatever namespace."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENXIO, errno.ENOENT):
            raise
        return False
    return True


def judge_used(file: PurePath, home: PurePath, known: Known) -> str:
    """Say what is wrong with a mounted file, '' when nothing is. Pure."""
    area, *names = file.relative_to(home).parts
    if area == "scratch" and names[0].removesuffix(".ext4") not in known.containers:
        return f"is still mounted for container {names[0].removesuffix('.ext4')}, which does not exist"
    return ""


def _detach(device: Path) -> None:
    descriptor = os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, LOOP_CLR_FD)
    except OSError as error:
        if error.errno != errno.ENXIO:  # the kernel was faster
            raise
    finally:
        os.close(descriptor)
