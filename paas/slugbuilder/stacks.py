"""Stacks: what apps run on and build on. Runs on the host, as root.

In: a name.  Out: the run image and the build layer, made once and kept; for `host` only what the host's /usr has.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .squash import BuiltImage, ImageError
from .stack_definitions import DEFINITIONS, HOST, NAMES, StackDefinition
from .stack_making import make_images


@dataclass(frozen=True)
class StackImages:
    """`run` is the root of an app's container; `build` lies on top of it in a build. Both None: the host's /usr.

    Versions are what `python3` and `node` of the stack say ('' when it has none); `os_release` is its os-release(5).
    """

    name: str
    run: BuiltImage | None
    build: BuiltImage | None
    python_version: str
    node_version: str
    os_release: str = ""


def make_stack(
    name: str, target_dir: Path, progress: Callable[[str], None], *, anew: bool = False
) -> StackImages:
    """Return the stack; if it is not in `target_dir/NAME` yet, make it (a minute, as root, from a Debian mirror).

    `anew`: make it in any case, of the packages that Debian has now. Safe to repeat and to run twice at once; what a
    killed run left is removed. Raises ImageError.
    """
    if name == HOST:
        return StackImages(HOST, None, None, *versions(None), read_os_release(Path("/")))
    definition = DEFINITIONS.get(name)
    if definition is None:
        raise ImageError(f"There is no stack {name!r}. Stacks are {', '.join(NAMES)}.")
    folder = target_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        known = None if anew else read_stack(definition, folder)
        return known or make_debian_stack(definition, folder, progress)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a stack; a second maker waits for the first and then finds its work."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def read_stack(definition: StackDefinition, folder: Path) -> StackImages | None:
    """The stack as noted in `stack.json`, None when it is absent, incomplete or of an older definition."""
    try:
        note = json.loads((folder / "stack.json").read_text())
        if note["fingerprint"] != definition.fingerprint:
            return None
        images = [
            BuiltImage(folder / image["file"], image["digest"], image["size"]) for image in note["images"]
        ]
        if any(image.path.stat().st_size != image.size for image in images):
            return None
        run_image, build_image = images
        found = (note["python"], note["node"], note.get("os_release", ""))
        return StackImages(definition.name, run_image, build_image, *found)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_debian_stack(
    definition: StackDefinition, folder: Path, progress: Callable[[str], None]
) -> StackImages:
    """Make both images aside, move them in place, note them last."""
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o755)
    try:
        run_image, build_image, root = make_images(definition, making, progress)
        python, node = versions(root)
        os_release = read_os_release(root)
        placed = [place(image, folder, kind) for image, kind in ((run_image, "run"), (build_image, "build"))]
    finally:
        shutil.rmtree(making, ignore_errors=True)
    stack = StackImages(definition.name, placed[0], placed[1], python, node, os_release)
    write_note(definition, folder, stack, placed)
    progress(f"{definition.name}: ready (Python {python}, Node.js {node})")
    return stack


def place(image: BuiltImage, folder: Path, kind: str) -> BuiltImage:
    """Name the file by its content; running hosts may still have the previous one open."""
    final = folder / f"{kind}-{image.digest.removeprefix('sha256:')[:12]}.squashfs"
    for old in folder.glob(f"{kind}-*.squashfs"):
        if old != final:
            old.unlink()
    image.path.replace(final)
    return BuiltImage(final, image.digest, image.size)


def write_note(
    definition: StackDefinition, folder: Path, stack: StackImages, images: list[BuiltImage]
) -> None:
    note = {
        "fingerprint": definition.fingerprint,
        "images": [{"file": image.path.name, "digest": image.digest, "size": image.size} for image in images],
        "python": stack.python_version,
        "node": stack.node_version,
        "os_release": stack.os_release,
    }
    half = folder / "stack.json.half"
    half.write_text(json.dumps(note, indent=1) + "\n")
    half.replace(folder / "stack.json")


def read_os_release(root: Path) -> str:
    """Return os-release(5) of a root, '' when it has none."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        file = root / name
        if file.is_file() and file.resolve().is_relative_to(root):  # etc's is a link; it must not lead out
            return file.read_text(errors="replace")
    return ""


def versions(root: Path | None) -> tuple[str, str]:
    """What python3 and node of a root (None: the host) call themselves."""
    prefix = ["chroot", str(root)] if root else []
    return version_of([*prefix, "/usr/bin/python3", "--version"]), version_of(
        [*prefix, "/usr/bin/node", "--version"]
    )


def version_of(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found[0] if found and done.returncode == 0 else ""
