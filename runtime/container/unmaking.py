"""Unmaking one container, whatever state it is in.

In: its id, and its record if it has one.  Out: nothing is left of it but its log. Runs inside the private mount
namespace, for the engine and for the doctor.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Protocol

import msgspec

from runtime import shapes
from runtime.container import conmon, hooks, process, rootfs, runtimes
from runtime.container.cgroup import CgroupV1, CgroupV2
from runtime.container.layout import Layout
from runtime.container.port import EngineError
from runtime.container.storage import Record

_CONMON_GRACE = 10.0


class _Config(msgspec.Struct):
    hooks: dict[str, msgspec.Raw] = {}


class Household(Protocol):
    """What it takes to remove a container: `Parts`, or less."""

    @property
    def layout(self) -> Layout: ...
    @property
    def runtime(self) -> str: ...
    @property
    def cgroups(self) -> CgroupV1 | CgroupV2: ...


def unmake(parts: Household, container: str, record: Record | None) -> None:
    """Remove every trace of a container but its log. Nothing when it is gone."""
    layout = parts.layout
    directory, maker = layout.bundle(container), runtimes.maker_of(layout, container, parts.runtime)
    if record is None:
        process.kill_supervisors(str(directory))
    if record is None or record.exit is None or has_hooks(directory):
        # Of one that has ended the runtime would only remove the group and its folder, as is done below: 8 ms less.
        with contextlib.suppress(EngineError):  # then its control group is killed below
            conmon.run_runtime(maker.path, maker.state, "delete", "--force", container)
    if record is None:
        process.reap_soon(conmon.read_pid(directory), _CONMON_GRACE)
    else:
        process.wait_gone(record.conmon_pid, record.conmon_started, _CONMON_GRACE)
        process.end(record.conmon_pid, record.conmon_started, _CONMON_GRACE)
    kill_group(parts.cgroups, layout.cgroup_of(container))
    late = layout.late_hooks_of(container)
    hooks.run_ended(late, directory, container)
    rootfs.dismantle(layout.work(container))
    for name in (container, f"{container}.ext4"):
        (layout.scratch / name).unlink(missing_ok=True)
    (layout.exits / container).unlink(missing_ok=True)
    shutil.rmtree(Path(maker.state, container), ignore_errors=True)
    for folder in (late, directory):
        shutil.rmtree(folder, ignore_errors=True)
    layout.record(container).unlink(missing_ok=True)  # last: until then the container is known


def has_hooks(directory: Path) -> bool:
    """Tell whether a bundle asks for commands at its start or removal, which are for the runtime to run."""
    try:
        return bool(shapes.decode((directory / "config.json").read_bytes(), _Config).hooks)
    except (OSError, ValueError):
        return False


def kill_group(cgroups: CgroupV1 | CgroupV2, path: str) -> None:
    """Kill what the runtime may have left in a control group, and remove the group."""
    for pid in cgroups.processes(path):
        process.end(pid, process.start_time(pid), _CONMON_GRACE)
    cgroups.remove(path)
