"""What one build leaves to the next: layers, their metadata, bills of materials and store.toml of each buildpack.

In: the app's build cache, a buildpack's <layers> folder.  Out: the same folder as the specification wants it before a
build. The cache stands for the previous image, too: it is written, as a whole, when all bin/build went well, which is
before the slug's process types and size are checked.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import BuildError
from .layers import SBOM_FORMATS, Layer, read_layers, sboms
from .toml_writing import to_toml

FOLDER = "cnb"
HALF = ".half"


def kept_of(cache: Path | None, pack: str) -> Path | None:
    """Return where a buildpack's kept files are, None without a cache."""
    return cache / FOLDER / pack if cache else None


def restore(kept: Path | None, target: Path, label: str) -> tuple[str, ...]:
    """Fill <layers> before a build: metadata without types, and the contents of cached layers: both or neither.

    Returns the names of the layers whose contents came back.
    """
    target.mkdir(parents=True)
    if kept is None or not kept.is_dir():
        return ()
    if (kept / "store.toml").is_file():
        shutil.copyfile(kept / "store.toml", target / "store.toml")
    try:
        layers = read_layers(kept, label)
    except BuildError:  # nobody but the app's own builds writes there
        shutil.rmtree(kept)
        return ()
    back = []
    for layer in layers:
        if layer.cache:
            if not unpack(kept, layer.name, target):
                continue
            back.append(layer.name)
        table = {"metadata": layer.metadata} if layer.metadata else {}
        (target / f"{layer.name}.toml").write_text(to_toml(table), "utf-8")
        for kind, file in sboms(kept, layer.name):
            shutil.copyfile(file, target / f"{layer.name}.sbom.{kind}")
    return tuple(back)


def unpack(kept: Path | None, name: str, target: Path) -> bool:
    """Put a layer's kept contents in place. False, and nothing there, when there are none."""
    file = kept / f"{name}.tar" if kept else None
    if file is None or not file.is_file():
        return False
    done = subprocess.run(["tar", "-xf", str(file), "-C", str(target)], capture_output=True, check=False)
    if done.returncode == 0 and (target / name).is_dir():
        return True
    shutil.rmtree(target / name, ignore_errors=True)
    return False


def save(kept: Path | None, folder: Path, layers: Sequence[Layer]) -> bool:
    """Keep what the next build may have. A full cache is no error: the next build starts without."""
    if kept is None:
        return False
    half = kept.with_name(f"{kept.name}{HALF}")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        if (folder / "store.toml").is_file():
            shutil.copyfile(folder / "store.toml", half / "store.toml")
        for layer in layers:
            if layer.is_kept and _pack(folder, layer, half):
                _describe(folder, layer, half)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
        shutil.rmtree(kept, ignore_errors=True)
        return False
    shutil.rmtree(kept, ignore_errors=True)
    half.rename(kept)
    return True


def forget_others(kept: Sequence[Path | None]) -> None:
    """Remove what is kept of buildpacks that took no part, which would come back stale, and what killed builds left."""
    for parent in {one.parent for one in kept if one is not None and one.parent.is_dir()}:
        for entry in parent.iterdir():
            if entry not in kept:
                shutil.rmtree(entry, ignore_errors=True)


def _pack(folder: Path, layer: Layer, half: Path) -> bool:
    if not (folder / layer.name).is_dir():
        return False
    argv = ["tar", "-cf", str(half / f"{layer.name}.tar"), "-C", str(folder), f"./{layer.name}"]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        raise OSError
    return True


def _describe(folder: Path, layer: Layer, half: Path) -> None:
    types = {"launch": layer.launch, "build": layer.build, "cache": layer.cache}
    text = to_toml({"types": types, "metadata": layer.metadata})
    (half / f"{layer.name}.toml").write_text(text, "utf-8")
    for kind in SBOM_FORMATS:
        file = folder / f"{layer.name}.sbom.{kind}"
        if file.is_file():
            shutil.copyfile(file, half / file.name)
