"""Buildpacks in OCI images: the buildpackages and builders that `pack` makes.

In: an image's configuration and layers.  Out: a folder with the buildpacks of its /cnb, and an order.toml.
Nothing but what lies in /cnb is written, and never through a link. Specification: distribution.md.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..source import leaves_tree
from .toml_writing import to_toml

PACKAGE_LABEL = "io.buildpacks.buildpackage.metadata"
ORDER_LABEL = "io.buildpacks.buildpack.order"
INSIDE = ("cnb/buildpacks/", "cnb/order.toml")
MOST_ENTRIES = 50_000
HIDES = ".wh."


class Unusable(Exception):
    """Why an image gives no buildpacks, in words."""


@dataclass
class Room:
    """What may still be written."""

    bytes: int
    entries: int = MOST_ENTRIES

    def take(self, size: int) -> None:
        self.bytes, self.entries = self.bytes - size, self.entries - 1
        if self.bytes < 0 or self.entries < 0:
            raise Unusable("its buildpacks are too large, or too many files")


def unpack_layers(layers: Iterable[IO[bytes]], config: Mapping[str, Any], target: Path, most: int) -> Path:
    """Write the buildpacks below `target`/cnb; return that folder, an order.toml in it. Raises Unusable."""
    room = Room(most)
    for layer in layers:
        try:
            with tarfile.open(fileobj=layer, mode="r|*") as archive:
                for member in archive:
                    _write(archive, member, target, room)
                    archive.members = []  # type: ignore[attr-defined]
        except (tarfile.TarError, EOFError) as error:
            raise Unusable(f"one of its layers cannot be read ({error})") from error
    root = target / "cnb"
    if not (root / "buildpacks").is_dir():
        raise Unusable("it has no /cnb/buildpacks, as buildpackages and builders have")
    order = order_of(labels_of(config))
    if order:
        (root / "order.toml").unlink(missing_ok=True)
        (root / "order.toml").write_text(to_toml({"order": order}), "utf-8")
    return root


def labels_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    return labels if isinstance(labels, dict) else {}


def order_of(labels: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the order that an image's labels name: one buildpack of a package, the groups of a builder."""
    package, builder = _json(labels.get(PACKAGE_LABEL)), _json(labels.get(ORDER_LABEL))
    if isinstance(package, dict):
        return [{"group": [_entry(package)]}]
    groups = builder if isinstance(builder, list) else []
    found = [one.get("group") for one in groups if isinstance(one, dict)]
    return [
        {"group": [_entry(one) for one in group if isinstance(one, dict)]}
        for group in found
        if isinstance(group, list)
    ]


def _entry(values: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": str(values.get("id", ""))}
    if values.get("version"):
        entry["version"] = str(values["version"])
    if values.get("optional") is True:
        entry["optional"] = True
    return entry


def _json(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise Unusable(f"one of its labels is no JSON ({error})") from error


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, room: Room) -> None:
    path = PurePosixPath(member.name.removeprefix("./").lstrip("/"))
    if not f"{path}".startswith(INSIDE) or ".." in path.parts or "\0" in str(path):
        return
    if path.name.startswith(HIDES):
        raise Unusable(f"a layer removes {path}, which no buildpackage does")
    place = target / path
    room.take(max(0, member.size))
    if any((target / parent).is_symlink() for parent in path.parents):
        raise Unusable(f"{path} lies below a link")
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.is_file():
        place.unlink()
    if member.issym():
        if not leaves_tree(str(path), member.linkname):
            place.symlink_to(member.linkname)
    elif member.isreg():
        _copy(archive, member, place)
    elif member.islnk():
        raise Unusable(f"{path} is a hard link, which is not read here")


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    content = archive.extractfile(member)
    mode = 0o755 if member.mode & 0o111 else 0o644
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file, 1024 * 1024)
