"""Volumes of a container: held for it, shown with its own ids, and filled once from its image.

In: what a spec asks for.  Out: mounts for config.json, what the container's record must remember, words for the app.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle, syscalls
from runtime.container.port import EngineError
from runtime.model import Account, ContainerSpec, VolumeMount
from runtime.volumes import records
from runtime.volumes.store import Held, VolumeStore

Mapping = Callable[[], int] | None
_RESERVED = ("/proc", "/sys", "/dev")
_SEED_SECONDS = 600.0


@dataclass(frozen=True)
class Attached:
    """`keys` say which volume is held how; `notes` are sentences for the app's log."""

    mounts: tuple[bundle.Mounted, ...]
    keys: tuple[str, ...]
    notes: tuple[str, ...]


def check_mounts(mounts: Collection[VolumeMount], others: Collection[str]) -> None:
    """Raise EngineError for volumes that cannot all be mounted. Pure."""
    targets = [*(_clean(target) for target in others), *(_clean(mount.target) for mount in mounts)]
    for mount in mounts:
        records.check_name(mount.name)
        target = _clean(mount.target)
        if not mount.target.startswith("/") or ".." in mount.target.split("/") or target == "/":
            raise EngineError(f"Volume {mount.name} needs a directory below / to be mounted at.")
        if any(target == place or target.startswith(f"{place}/") for place in _RESERVED):
            raise EngineError(
                f"Volume {mount.name} cannot be mounted at {target}, which belongs to the system."
            )
        if targets.count(target) > 1:
            raise EngineError(f"Two volumes or files are to be mounted at {target}; choose another place.")
    names = [mount.name for mount in mounts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise EngineError(f"Volume {twice} is to be mounted twice in one container; once is enough.")


def attach(
    store: VolumeStore,
    spec: ContainerSpec,
    work: Path,
    root: Path,
    mapping: Mapping,
    undo: contextlib.ExitStack,
) -> Attached:
    """Hold and show the volumes of a container under `work`. What was held is let go by `undo`."""
    shown, keys, notes = [], [], []
    for number, mount in enumerate(sorted(spec.volumes, key=lambda one: _clean(one.target).count("/"))):
        held = store.hold(spec.owner, mount, spec.id, spec.name)
        undo.callback(store.release, held.id, spec.id)
        place = work / f"v{number}"
        place.mkdir(mode=0o755)
        _show(held.path, place, mapping, read_only=mount.read_only)
        if held.fresh and not mount.read_only:
            _seed(held, root, place, mount, mapping, spec.account)
            store.mark_seeded(held.id)
        shown.append(bundle.Mounted(source=str(place), target=mount.target, writable=not mount.read_only))
        keys.append(store.key_of(held.id, read_only=mount.read_only))
        notes += [held.note] if held.note else []
    return Attached(tuple(shown), tuple(keys), tuple(notes))


def _show(source: Path, place: Path, mapping: Mapping, *, read_only: bool) -> None:
    attributes = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
    attributes |= syscalls.MOUNT_ATTR_RDONLY if read_only else 0
    userns = mapping() if mapping else None
    try:
        syscalls.bind(source, place, attributes, userns)
    except OSError as error:
        raise EngineError(
            f"This kernel cannot show a volume with the ids of its container ({error}); Linux 5.12 or newer can."
        ) from error
    finally:
        if userns is not None:
            os.close(userns)


def _seed(
    held: Held, root: Path, place: Path, mount: VolumeMount, mapping: Mapping, account: Account
) -> None:
    """Give a new volume what the image has at its place, whole or not at all; an empty one to whom the container
    runs as. No process has used it yet."""
    inside = _Inside(mapping)
    try:
        inside.run("find", str(place), "-xdev", "-mindepth", "1", "-delete")
        source = _find_source(root, mount.target)
        if source < 0:
            inside.run("chown", f"{account.uid}:{account.gid}", str(place))
            return
        try:
            done = inside.run("cp", "-a", "-x", "-T", f"/proc/self/fd/{source}/.", str(place), keep=source)
        finally:
            os.close(source)
        if done or os.statvfs(held.path).f_bavail == 0:  # the agent may write where a container may not
            inside.run("find", str(place), "-xdev", "-mindepth", "1", "-delete")
            raise EngineError(
                f"The image's files at {mount.target} could not be copied to the new volume {mount.name}: "
                f"{done or 'it is too small'}. Make it larger, or mount it elsewhere."
            )
    finally:
        inside.close()


def _find_source(root: Path, target: str) -> int:
    """Open what the image has at `target`, as the container would see it; -1 when there is no directory."""
    top = os.open(root, os.O_PATH | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        return syscalls.open_beneath(top, _clean(target).lstrip("/"), flags, syscalls.RESOLVE_IN_ROOT)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    finally:
        os.close(top)


class _Inside:
    """Runs a program as the container's root: what it writes gets the ids that the container will see, and a view
    with other ids refuses what a stranger makes (EOVERFLOW)."""

    def __init__(self, mapping: Mapping) -> None:
        self._userns = mapping() if mapping else -1

    def run(self, *command: str, keep: int = -1) -> str:
        """Return why it failed, '' when it did not. `keep`: a descriptor that it needs."""
        enter: tuple[str, ...] = ()
        if self._userns >= 0:
            enter = (
                "nsenter",
                f"--user=/proc/self/fd/{self._userns}",
                "--setuid",
                "0",
                "--setgid",
                "0",
                "--",
            )
        done = subprocess.run(
            (*enter, *command),
            pass_fds=[fd for fd in (self._userns, keep) if fd >= 0],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SEED_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        return " ".join(done.stderr.split())[:300] or str(done.returncode) if done.returncode else ""

    def close(self) -> None:
        if self._userns >= 0:
            os.close(self._userns)


def _clean(target: str) -> str:
    return "/" + "/".join(part for part in target.split("/") if part not in ("", "."))
