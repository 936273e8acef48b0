"""An ext4 in a sparse file that holds exactly as many bytes as it was promised to.

In: a file and how many bytes its users may store.  Out: the file system, checked, grown, with its own needs on top.

The file is larger than what it is to hold, by what ext4 itself needs; all blocks above are reserved for root, whom no
container is. So a volume of 100 MB takes 100 MB of data, and not a byte more.
"""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from runtime.container.port import EngineError
from runtime.volumes import loop
from runtime.volumes.errors import VolumeBusy, VolumeDamaged

BLOCK = 4096
_MIB = 1024**2
_JOURNALS = ((4 * 1024**3, 64), (128 * _MIB, 8), (0, 4))  # from this size on, so many MiB
_SPARE = 4 * _MIB
_INODE_EVERY = 16384  # bytes, whatever mke2fs.conf says of small ones
_HELD_BACK = (
    4096  # blocks that ext4 keeps for itself: the fiftieth part, at most these (ext4_calculate_resv_clusters)
)
_ROOT = 1  # blocks of the empty root directory
_REPAIRED = (0, 1, 2)  # e2fsck(8)
_MAGIC = b"\x53\xef"


@dataclass(frozen=True)
class Room:
    """Blocks of an unmounted file system: all, free, and of those reserved for root."""

    blocks: int
    free: int
    reserved: int

    def used(self, size: int) -> int:
        """How many of `size` bytes are taken."""
        available = self.free - self.reserved - min(self.blocks // 50, _HELD_BACK)
        return max(0, min(size, size - available * BLOCK))


def file_size(size: int) -> int:
    """How long a file must be to hold `size` bytes. Pure.

    A sixteenth for inodes and what ext4 holds back, the journal, some spare: what is too much of it costs nothing,
    since the file is sparse, but tune2fs reserves no more than half of a file system.
    """
    return -(-(size + size // 16 + journal_mib(size) * _MIB + _SPARE) // BLOCK) * BLOCK


def journal_mib(size: int) -> int:
    return next(journal for least, journal in _JOURNALS if size >= least)


def make(file: Path, size: int, uid: int) -> None:
    """Make an empty file system whose root directory belongs to `uid`. Raises EngineError."""
    layout = ("-b", str(BLOCK), "-I", "256", "-i", str(_INODE_EVERY), "-J", f"size={journal_mib(size)}")
    options = f"lazy_itable_init=1,nodiscard,root_owner={uid}:{uid}"
    with file.open("xb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.truncate(file_size(size))
    loop.run_tool("mkfs.ext4", "-q", "-F", "-m", "0", *layout, "-E", options, str(file))


def check(file: Path, name: str) -> str:
    """Repair what can be repaired without a loss; return a sentence if something was. Raises VolumeDamaged."""
    code = loop.run_tool("e2fsck", "-p", str(file), accept=tuple(range(256)))
    if code in _REPAIRED:
        return f"Volume {name} was not unmounted cleanly; it was checked and repaired." if code else ""
    raise VolumeDamaged(
        f"Volume {name} is damaged and e2fsck -p could not repair it ({code}); nothing was thrown away. Go back to a "
        f"snapshot (python -m runtime volumes restore), or copy {file} away and let e2fsck -f -y mend it, then "
        "start again."
    )


def fit(file: Path, size: int) -> None:
    """Grow an unmounted, checked file system to hold `size` bytes. Nothing when it does. Never shrinks."""
    wanted = file_size(size)
    if read_room(file).blocks * BLOCK >= wanted:
        return
    with file.open("r+b") as stream:
        stream.truncate(max(wanted, file.stat().st_size))
    loop.run_tool("e2fsck", "-f", "-p", str(file), accept=_REPAIRED)
    loop.run_tool("resize2fs", str(file))


def fit_mounted(file: Path, device: str, size: int, name: str) -> None:
    """The same while it is mounted from `device`. Runs in its namespace."""
    wanted = file_size(size)
    if wanted > file.stat().st_size:
        with file.open("r+b") as stream:
            stream.truncate(wanted)
    loop.take_new_size(device)
    try:
        loop.run_tool("resize2fs", device)
    except EngineError as error:  # the kernel wants CAP_SYS_RESOURCE for it
        raise VolumeBusy(
            f"Volume {name} cannot grow on this host while it is in use ({error}) Stop what uses it, and try again."
        ) from error


def settle(device: str, target: Path, size: int) -> None:
    """Make a file system that was just mounted or grown hold `size` bytes, no more; and its root look empty."""
    with contextlib.suppress(OSError):  # what e2fsck found belongs to the user
        (target / "lost+found").rmdir()
    seen = os.statvfs(target)
    kept = int(Path(f"/sys/fs/ext4/{Path(device).name}/reserved_clusters").read_text())
    reserved = max(0, seen.f_blocks - _ROOT - kept - size // BLOCK)
    if seen.f_bfree - seen.f_bavail != reserved + kept:
        loop.run_tool("tune2fs", "-r", str(reserved), device)


def read_room(file: Path) -> Room:
    """Read the superblock of an unmounted file system (Documentation/filesystems/ext4/super.rst)."""
    with file.open("rb") as stream:
        block = os.pread(stream.fileno(), 1024, 1024)
    if len(block) < 1024 or block[0x38:0x3A] != _MAGIC:
        raise VolumeDamaged(f"There is no ext4 file system in {file} any more; go back to a snapshot.")
    low, high = struct.unpack_from("<III", block, 0x4), struct.unpack_from("<III", block, 0x150)
    blocks, reserved, free = (at | above << 32 for at, above in zip(low, high, strict=True))
    return Room(blocks, free, reserved)


def mounted_used(target: Path, size: int) -> int:
    """How many of `size` bytes are taken in a mounted file system."""
    return max(0, min(size, size - os.statvfs(target).f_bavail * BLOCK))
