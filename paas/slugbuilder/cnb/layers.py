"""Layers of one buildpack, and what it wrote beside them.

In: the folder that it was given as <layers>.  Out: values.  Specification: buildpack.md, "Layer Types".
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .tables import invalid, read_table

OWN_FILES = frozenset({"launch", "build", "store"})
SBOM_FORMATS = ("cdx.json", "spdx.json", "syft.json")


@dataclass(frozen=True)
class Layer:
    name: str
    launch: bool = False
    build: bool = False
    cache: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_ignored(self) -> bool:
        return not (self.launch or self.build or self.cache)

    @property
    def is_kept(self) -> bool:
        """Whether the next build hears of it: a layer for build and launch alone is made anew each time."""
        return self.cache or (self.launch and not self.build)


def read_layers(folder: Path, label: str) -> tuple[Layer, ...]:
    """Return the layers that have a TOML file, sorted by name."""
    return tuple(
        read_layer(file, label) for file in sorted(folder.glob("*.toml")) if file.stem not in OWN_FILES
    )


def read_layer(file: Path, label: str) -> Layer:
    table = read_table(file, f"{file.name} of {label}")
    if unknown := {"launch", "build", "cache"} & set(table.values):
        raise invalid(table.where, f"`{min(unknown)}` belongs below [types]")
    types = table.table("types")
    flags = {name: types.flag(name) for name in ("launch", "build", "cache")}
    return Layer(file.stem, **flags, metadata=table.table("metadata").values)


def set_ignored_aside(folder: Path, layers: tuple[Layer, ...]) -> None:
    """Rename layers without a type, so that no later buildpack depends on them by accident."""
    used = {layer.name for layer in layers if not layer.is_ignored}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry.name not in used:
            if entry.name in OWN_FILES:
                raise invalid(str(entry), "no layer may be called build, launch or store")
            entry.rename(entry.with_name(f"{entry.name}.ignore"))


def sboms(folder: Path, name: str) -> tuple[tuple[str, Path], ...]:
    """Return the bills of materials of a layer, or of `launch` or `build`: format and file."""
    files = ((kind, folder / f"{name}.sbom.{kind}") for kind in SBOM_FORMATS)
    return tuple((kind, file) for kind, file in files if file.is_file() and not file.is_symlink())


def leave_only(folder: Path, names: set[str]) -> None:
    """Remove everything from a buildpack's folder but these layers; the folder, too, when nothing stays."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in names:
                remove(entry)
        else:
            entry.unlink()
    if not names:
        folder.rmdir()


def remove(folder: Path) -> None:
    """Remove a folder, and folders in it that may not be written, as Go makes those of its modules."""
    folder.chmod(stat.S_IRWXU)
    for where, names, _ in os.walk(folder):  # a folder is opened before it is entered
        for name in names:
            if not (Path(where) / name).is_symlink():
                (Path(where) / name).chmod(stat.S_IRWXU)
    shutil.rmtree(folder)
