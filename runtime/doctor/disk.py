"""Files of the data directory that belong to nothing.

In: the folders of one home.  Out: leftovers. What may be somebody's data is put aside, never deleted.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from runtime.container.layout import Layout
from runtime.container.unmaking import unmake
from runtime.doctor.place import Known, Leftover, Place
from runtime.volumes import records

OLD_SECONDS = 3600.0
_IMAGE = re.compile(r"[0-9a-f]{64}\Z")
_SQUASHFS = b"hsqs"
_HEAD = 96  # bytes of a superblock
_USED_AT = slice(
    40, 48
)  # bytes_used in the superblock, little endian (Documentation/filesystems/squashfs.rst)
_DRAFT = re.compile(r"\..+\.(new|\d+)\Z")


def look(place: Place, known: Known) -> Iterator[Leftover]:
    layout = place.layout
    for path in place.see(_unknown, layout.bundles, known.containers):
        yield Leftover("bundle", str(path), "belongs to no container", partial(_unmake, place, path.name))
    for folder in (layout.records, layout.late_hooks):
        for path in _unknown(folder, known.containers):
            yield Leftover("record", str(path), "is of no container", partial(_unmake, place, path.name))
    for path in place.see(_unknown_states, layout, known.containers):
        text = "belongs to no container"
        yield Leftover("runtime state", str(path), text, partial(_forget, place, path))
    for path in _unknown(layout.exits, known.containers):
        yield Leftover("exit file", str(path), "belongs to no container", partial(_remove, path))
    for path in _unknown(layout.scratch, known.containers, ".ext4"):
        yield Leftover("file", str(path), "is the disk of no container", partial(_remove, path))
    yield from _look_images(layout.home / "images" / "sha256", known)
    yield from _look_volumes(layout.home / "volumes", known)
    yield from _look_data(layout.data)
    yield from _look_ranges(known)
    yield from _look_agent(layout.home, layout.logs, known)


def _look_images(folder: Path, known: Known) -> Iterator[Leftover]:
    for path in sorted(folder.glob("*")):
        if path.name in known.drafts:
            continue
        problem = judge_image(path)
        if problem:
            yield Leftover("image", str(path), problem, partial(_remove, path))


def judge_image(path: Path) -> str:
    """Say what is wrong with a file of the image store: half copied, cut short, not an image."""
    if not _IMAGE.match(path.name):
        return "is a half copied image" if path.name.startswith(".") else "is not named by a digest"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    except FileNotFoundError:
        return ""
    if head.startswith(_SQUASHFS) and len(head) < _HEAD:
        return f"is cut short: {size} bytes; it is fetched again when needed"
    if head[:4] != _SQUASHFS:
        return "is not a squashfs"
    wanted = int.from_bytes(head[_USED_AT], "little")
    return f"is cut short: {size} of {wanted} bytes; it is fetched again when needed" if size < wanted else ""


def _look_volumes(folder: Path, known: Known) -> Iterator[Leftover]:
    ranges = {str(start) for _, start in known.starts}
    for path in sorted(folder.glob("*")):
        if path.name.isdigit() and path.name not in ranges:
            text = "holds volumes of no known owner, which the next new owner would get; --repair puts them aside"
            yield Leftover("volume", str(path), text, partial(_put_aside, path))


def _look_data(folder: Path) -> Iterator[Leftover]:
    """Data is never removed here: what cannot be used is only told."""
    for path in sorted(folder.glob("[!.]*")):
        if records.load(path) is None:
            text = f"is a volume without its {records.RECORD}, which no container can use; put that file back"
            yield Leftover("volume", str(path), text)


def _look_ranges(known: Known) -> Iterator[Leftover]:
    owners = Counter(start for _, start in known.starts)
    for start, count in sorted(owners.items()):
        if count > 1:
            names = ", ".join(sorted(owner for owner, at in known.starts if at == start))
            text = (
                f"is the user range of {names}: they can reach each other's files; move one to another host"
            )
            yield Leftover("user range", str(start), text)


def _look_agent(home: Path, logs: Path, known: Known) -> Iterator[Leftover]:
    agent, now = home / "agent", time.time()
    for path in _unknown(agent / "inputs", known.jobs):
        yield Leftover("file", str(path), "is the input of no job", partial(_remove, path))
    drafts = [
        path
        for folder in (home, agent, agent / "jobs")
        for path in folder.glob(".*")
        if _DRAFT.match(path.name)
    ]
    for path in (*drafts, *(agent / "tmp").glob("*")):
        if _age(path, now) > OLD_SECONDS:
            yield Leftover("file", str(path), "was never finished", partial(_remove, path))
    for path in sorted(logs.glob("*")):
        container = path.name.partition(".log")[0]
        if container not in known.logs | known.containers and _age(path, now) > OLD_SECONDS:
            yield Leftover("log", str(path), "is the output of no container", partial(_remove, path))


def _unknown(folder: Path, known: frozenset[str], suffix: str = "") -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if path.name.removesuffix(suffix) not in known]


def _age(path: Path, now: float) -> float:
    try:
        return now - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _unknown_states(layout: Layout, containers: frozenset[str]) -> list[Path]:
    return [path for state in layout.states() for path in _unknown(state, containers)]


def _unmake(place: Place, container: str) -> None:
    place.see(unmake, place, container, None)


def _forget(place: Place, state: Path) -> None:
    _unmake(place, state.name)
    place.see(partial(shutil.rmtree, ignore_errors=True), state)


def _put_aside(path: Path) -> None:
    path.rename(path.with_name(f"lost-{path.name}-{int(time.time())}"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
