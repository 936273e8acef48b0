"""What an engine has written down of its containers, and a reboot of the host as the next engine finds it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from runtime.container import process, storage, syscalls
from runtime.container.storage import Record


def record_of(home: Path, container: str) -> Record:
    record = storage.load(home / "c" / container)
    assert record is not None, container
    return record


def after_a_reboot(home: Path, *containers: str) -> None:
    """Nobody saw them end: no exit is written down, their records name another boot, and what was in memory is gone.

    Their processes are the caller's to end first.
    """
    for container in containers:
        record = record_of(home, container)
        assert record.boot_id == process.boot_id()
        before = msgspec.structs.replace(record, boot_id="another-boot", exit=None)
        storage.save(home / "c" / container, before)
        (home / "exits" / container).unlink(missing_ok=True)
    for place in (home / "ns" / "mnt", home / "ns"):
        with contextlib.suppress(OSError):
            while True:
                syscalls.umount(place)
