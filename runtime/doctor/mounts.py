"""Mounts, directories and pinned namespaces that belong to no container.

In: the mount tables inside and outside of the private namespace.  Out: leftovers; deepest first, as they must go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath

from runtime.container import files, rootfs, syscalls
from runtime.doctor.place import Known, Leftover, Place

MOUNTS = Path("/proc/thread-self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def look(place: Place, known: Known) -> Iterator[Leftover]:
    if place.inside is not None:
        yield from _look_inside(place, known)
    run, home = place.layout.run, place.home
    for target in reversed(parse_targets(MOUNTS.read_text())):
        problem = judge_outside(PurePath(target), run, home)
        if problem:
            yield Leftover("mount", target, problem, partial(syscalls.umount, target))
    if place.inside is None and run.is_dir():
        yield Leftover("directory", str(run), "is left of an agent that was removed", run.rmdir)


def parse_targets(mountinfo: str) -> tuple[str, ...]:
    """Return the mount points of a table, oldest first. Pure."""
    fields = (line.split() for line in mountinfo.splitlines())
    return tuple(
        _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field[4]) for field in fields if len(field) > 4
    )


def judge_outside(target: PurePath, run: PurePath, home: PurePath) -> str:
    """Say what is wrong with a mount that the whole host sees. Only the pin may be there, and whole disks that the
    operator put under a folder of the data directory. Pure."""
    if target == run or target.is_relative_to(run):
        return "is mounted on the host, but such mounts exist only in the agent's own namespace"
    if not target.is_relative_to(home) or target.is_relative_to(home / "ns"):
        return ""
    if len(target.relative_to(home).parts) < 2:
        return ""
    return "is mounted on the host, in a folder that only the agent uses"


def judge_inside(
    target: PurePath, run: PurePath, home: PurePath, known: Known, images: frozenset[str]
) -> str:
    """Say what is wrong with a mount in the private namespace. Pure."""
    if target == run or target.is_relative_to(home / "ns"):
        return ""
    if not target.is_relative_to(run):
        return judge_outside(target, run, home)
    area, *names = target.relative_to(run).parts
    name = names[0] if names else ""
    if area == "img":
        return "" if name in images else "shows an image that this host has not got any more"
    if area in ("c", "export"):
        return "" if name in known.containers else f"belongs to container {name}, which does not exist"
    if area == "vol":
        return "" if "/".join(names[:2]) in known.volumes else "is a volume that no container uses"
    if area == "data":
        return "" if name in known.data else "is a volume that no container uses"
    if area == "net":
        return "" if name.isdigit() and int(name) in known.slots else "is a network that no container uses"
    return "is in no folder that the agent knows"


def _look_inside(place: Place, known: Known) -> Iterator[Leftover]:
    assert place.inside is not None
    run, home = place.layout.run, place.home
    images = frozenset(file.name for file in (home / "images" / "sha256").glob("*")) | known.images
    for target in reversed(parse_targets(place.inside(MOUNTS.read_text))):
        problem = judge_inside(PurePath(target), run, home, known, images)
        if problem:
            kind = "namespace" if target.startswith(f"{run}/net/") else "mount"
            yield Leftover(kind, target, problem, partial(place.inside, _unmount, Path(target)))
    for path in place.inside(_entries, run):
        problem = _judge_entry(path, known)
        if problem:
            yield Leftover("directory", str(path), problem, partial(place.inside, _remove, path))


def _entries(run: Path) -> list[Path]:
    """What lies in the private run directory beside mounts."""
    places = [path for area in ("c", "export", "net") for path in (run / area).glob("*")]
    return [*places, *run.glob("probe-*")]


def _judge_entry(path: Path, known: Known) -> str:
    if path.parent.name == "net":
        return "" if path.name.isdigit() and int(path.name) in known.slots else "pins no container's network"
    if path.parent.name in ("c", "export"):
        return (
            "" if path.name in known.containers else f"belongs to container {path.name}, which does not exist"
        )
    return "is left of a trial at start"


def _unmount(target: Path) -> None:
    syscalls.umount(target)
    if target.parent.name == "net":
        target.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        rootfs.dismantle(path)
        files.remove_stage(path)
    else:
        path.unlink(missing_ok=True)
