"""File systems in files: loop devices that go away with their last mount.

In: a file with a file system.  Out: it is mounted at a directory.
LO_FLAGS_AUTOCLEAR lets the kernel free the device at the last umount, so that no crash leaves one behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
from pathlib import Path

from runtime.container import syscalls
from runtime.container.port import EngineError

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_SET_CAPACITY = 0x4C07
_EXT4_SHUTDOWN, _NOLOGFLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32)
_READ_ONLY, _AUTOCLEAR = 1, 4
# struct loop_config: fd, block size, then loop_info64, then 8 reserved words (linux/loop.h).
_CONFIG = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")
_ATTEMPTS = 64


def mount_file(file: Path, target: Path, fstype: str, *, readonly: bool, data: str = "") -> None:
    """Mount the file system in `file` at `target`. Raises OSError."""
    device = _attach(file, readonly=readonly)
    try:
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | (syscalls.MS_RDONLY if readonly else 0)
        syscalls.mount(str(Path(f"/proc/self/fd/{device}").readlink()), target, fstype, flags, data)
    finally:
        os.close(device)  # without a mount this frees the device at once


def take_new_size(device: str) -> None:
    """Let a device be as long as its file has become."""
    descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _LOOP_SET_CAPACITY, 0)
    finally:
        os.close(descriptor)


def device_of(file: Path) -> str:
    """Return the device that holds `file`, '' when none does. Mounted by two devices, a file would be destroyed."""
    wanted = str(file.resolve())
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if entry.read_text().rstrip("\n") == wanted:
                return f"/dev/{entry.parent.parent.name}"
    return ""


def make_ext4(file: Path, size: int, owner: int, *, journal: bool) -> None:
    """Make a sparse ext4 of `size` bytes whose root belongs to `owner`. Nothing is left when it fails."""
    features = "has_journal" if journal else "^has_journal"
    options = f"lazy_itable_init=1,nodiscard,root_owner={owner}:{owner}"
    try:
        with file.open("xb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.truncate(size)
        run_tool("mkfs.ext4", "-q", "-F", "-m", "0", "-O", features, "-E", options, str(file))
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def discard(mounted: Path) -> None:
    """Shut down the ext4 mounted there: what is not on its disk yet is dropped, whatever is asked of it fails, and its
    umount writes nothing. Raises OSError where nothing of the kind is mounted."""
    if not mounted.is_mount():
        return
    handle = os.open(mounted, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _EXT4_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
    finally:
        os.close(handle)


def run_tool(*command: str, accept: tuple[int, ...] = (0,), timeout: float = 600.0) -> int:
    """Run a file system tool. Raises EngineError with its last words on another exit code."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=timeout, stdin=subprocess.DEVNULL
    )
    if done.returncode not in accept:
        words = " ".join((done.stderr or done.stdout).split())[-500:]
        raise EngineError(f"{command[0]} failed ({done.returncode}): {words}")
    return done.returncode


def _attach(file: Path, *, readonly: bool) -> int:
    backing = os.open(file, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            device = _open_free_device(readonly=readonly)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _config(backing, file, readonly=readonly))
                return device
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # busy: another process was faster
                    raise
    finally:
        os.close(backing)
    raise EngineError("No loop device is free on this host.")


def _open_free_device(*, readonly: bool) -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)
    return os.open(f"/dev/loop{number}", (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC)


def _config(backing: int, file: Path, *, readonly: bool) -> bytes:
    flags = _AUTOCLEAR | (_READ_ONLY if readonly else 0)
    name = os.fsencode(file)[-63:]
    return _CONFIG.pack(backing, 0, *[0] * 5, 0, 0, 0, flags, name, b"", b"", *[0] * 10)
