"""Export: layers for launch stay in the app's tree, with their bills of materials; the next build's are kept.

In: what each buildpack has built.  Out: the layers of each at launch, and those worth an image of their own.
Specification: buildpack.md, "Export"; platform.md, `metadata.toml` and the layout of `sbom/launch`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BuildError
from .descriptor import Pack
from .keeping import forget_others, save, unpack
from .launching import Launched
from .layers import Layer, leave_only, sboms
from .processes import Process, combined
from .toml_writing import to_toml

MOST_IMAGES = 8  # of their own: each is a mount of every instance
SMALLEST = 1024**2  # bytes of a layer that is worth one


@dataclass(frozen=True)
class Built:
    """One buildpack after its bin/build: its folder of layers, and what it left there."""

    pack: Pack
    folder: Path
    kept: Path | None
    layers: tuple[Layer, ...]
    processes: tuple[Process, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def export(built: Sequence[Built], root: Path, app: Path) -> tuple[tuple[Launched, ...], tuple[str, ...]]:
    """Leave nothing below `root` but what runs. Raises BuildError for a layer that is nowhere."""
    for one in built:
        take_over(one)
    for one in built:
        save(one.kept, one.folder, one.layers)
    forget_others([one.kept for one in built])
    launched = []
    for one in built:
        names = {layer.name for layer in one.layers if layer.launch}
        keep_sboms(one, root / "sbom" / "launch" / one.pack.descriptor.folder, names)
        leave_only(one.folder, names)
        launched.append(Launched(tuple(one.folder / name for name in sorted(names))))
    write_metadata(built, root / "config" / "metadata.toml")
    folders = [layer for one in launched for layer in one.layers]
    return tuple(launched), worth_images(folders, app)


def take_over(built: Built) -> None:
    """A launch layer without contents is the previous build's."""
    for layer in built.layers:
        if not layer.launch or (built.folder / layer.name).is_dir():
            continue
        if not unpack(built.kept, layer.name, built.folder):
            label = built.pack.descriptor.label
            message = (
                f"{label} takes the layer {layer.name} from the previous build, which has none of that name."
            )
            hint = "`paas builds:cache:purge`, and push again: the buildpack then makes it anew."
            raise BuildError("cnb_layer_missing", message, hint=hint)


def keep_sboms(built: Built, target: Path, names: set[str]) -> None:
    for name in ("launch", *sorted(names)):
        for kind, file in sboms(built.folder, name):
            folder = target if name == "launch" else target / name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / f"sbom.{kind}")


def write_metadata(built: Sequence[Built], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    packs = [
        {"id": about.id, "version": about.version, "api": f"{about.api[0]}.{about.api[1]}"}
        for about in (one.pack.descriptor for one in built)
    ]
    processes = [
        {
            "type": one.type,
            "command": list(one.argv),
            "direct": one.direct,
            "default": one.default,
            **({"working-dir": one.working_dir} if one.working_dir else {}),
        }
        for one in combined(each.processes for each in built)
    ]
    labels = [
        {"key": key, "value": value}
        for key, value in {key: text for one in built for key, text in one.labels.items()}.items()
    ]
    file.write_text(to_toml({"buildpacks": packs, "processes": processes, "labels": labels}), "utf-8")


def worth_images(folders: Sequence[Path], app: Path) -> tuple[str, ...]:
    """Return the largest layers, relative to the app: they stay the same while the app changes."""
    sizes = {str(folder.relative_to(app)): size_of(folder) for folder in folders}
    large = sorted((name for name, size in sizes.items() if size >= SMALLEST), key=lambda name: -sizes[name])
    return tuple(sorted(large[:MOST_IMAGES]))


def size_of(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118  # tens of thousands of them
        for where, _, names in os.walk(folder)
        for name in names
    )
