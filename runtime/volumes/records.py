"""What is remembered of a volume beside its data.

In: values.  Out: the same values after a restart, from `DIRECTORY/ID/volume.json` and `…/snapshots/NAME.json`.

A volume is a directory `ID` with its record; one that starts with a dot was never finished or is being removed. A
snapshot exists once its record does.
"""

from __future__ import annotations

import re
from pathlib import Path

from runtime.container.storage import write_atomically
from runtime.model import Moment, Size, Snapshot, Struct, decode, encode
from runtime.volumes.errors import VolumeInvalid

DISK = "disk.ext4"
RECORD = "volume.json"
SMALLEST = 1024**2
LARGEST = 16 * 1024**4
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_OWNER = re.compile(r"[^\s/\x00][^/\x00\n]{0,99}\Z")


class VolumeRecord(Struct):
    """`size_bytes` is what users may store. `seeded`: it has been given what its first image had at that place.
    `retained`: its owner let go of it, and owner and name are only history."""

    id: str
    owner: str
    name: str
    size_bytes: Size
    created_at: Moment
    storage_class: str = "local"
    source: str = ""
    seeded: bool = False
    retained: bool = False


def check_name(name: str, what: str = "volume name") -> str:
    """Return `name` if it may name files. Raises VolumeInvalid."""
    if not _ID.match(name):
        raise VolumeInvalid(f"The {what} {name!r} must be 1-63 letters, digits, '.', '_' or '-'.")
    return name


def check_owner(owner: str) -> str:
    if not _OWNER.match(owner):
        raise VolumeInvalid(f"The owner {owner!r} must be 1-100 characters without '/'.")
    return owner


def check_size(size: int) -> int:
    if not SMALLEST <= size <= LARGEST:
        raise VolumeInvalid(f"A volume of {size} bytes cannot be made: it may have 1 MiB to 16 TiB.")
    return size


def save(folder: Path, record: VolumeRecord) -> None:
    write_atomically(folder / RECORD, encode(record))


def load(folder: Path) -> VolumeRecord | None:
    """Read a volume's record; None when it is missing or no record: the doctor tells."""
    try:
        return decode((folder / RECORD).read_bytes(), VolumeRecord)
    except (OSError, ValueError):
        return None


def load_all(directory: Path) -> dict[str, VolumeRecord]:
    found = (load(folder) for folder in sorted(directory.glob("*")) if not folder.name.startswith("."))
    return {record.id: record for record in found if record is not None}


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    write_atomically(folder / "snapshots" / f"{snapshot.name}.json", encode(snapshot))


def load_snapshots(folder: Path) -> tuple[Snapshot, ...]:
    """Read the snapshots of a volume, oldest first."""
    found = []
    for file in (folder / "snapshots").glob("*.json"):
        try:
            found.append(decode(file.read_bytes(), Snapshot))
        except (OSError, ValueError):
            continue
    return tuple(sorted(found, key=lambda one: (one.created_at, one.name)))
