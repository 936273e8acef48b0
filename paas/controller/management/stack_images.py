"""The images under every app: the default stack and the builder, put into the image store.

In: a stack's name.  Out: its row and `home/images/sha256/HEX`, which the controller serves to agents.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paas.configuration import Configuration
from paas.controller.models import Stack
from paas.secrets import write_private
from paas.slugbuilder.image import BuiltImage, build_builder_image
from paas.slugbuilder.stacks import make_stack

Say = Callable[[str], None]


def store(home: Path) -> Path:
    """Return the folder of the images, each named by the hex of its SHA-256."""
    folder = home / "images" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure_stack(configuration: Configuration, say: Say) -> Stack:
    """Make the stack of new apps unless it is there, and make it the default one."""
    stack = Stack.objects.filter(name=configuration.stack).first()
    if stack is None or not _complete(stack, configuration.home):
        stack = _make(configuration, stack or Stack(name=configuration.stack), say)
    if not stack.is_default:
        Stack.objects.exclude(id=stack.id).update(is_default=False)
        stack.is_default = True
        stack.save()
    return stack


def _complete(stack: Stack, home: Path) -> bool:
    layers = [*stack.run_layers, *stack.build_layers]
    return all((store(home) / layer["digest"].removeprefix("sha256:")).exists() for layer in layers)


def _make(configuration: Configuration, stack: Stack, say: Say) -> Stack:
    began = time.monotonic()
    say(f"Making the stack {stack.name}; this happens once …")
    with tempfile.TemporaryDirectory(prefix="making-", dir=configuration.home / "run") as folder:
        images = make_stack(stack.name, Path(folder), say)
        stack.run_layers = [_keep(image, configuration.home) for image in images.run]
        stack.build_layers = [_keep(image, configuration.home) for image in images.build]
    stack.python_version, stack.node_version = images.python_version, images.node_version
    stack.save()
    say(f"The stack {stack.name} is ready ({time.monotonic() - began:.0f} s).")
    return stack


def ensure_builder(home: Path, say: Say) -> None:
    """Make the image that holds the build program, again whenever the program changed."""
    file = home / "builder.json"
    source = _fingerprint(Path(__file__).resolve().parents[2] / "slugbuilder")
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("source") == source and (store(home) / kept["digest"].removeprefix("sha256:")).exists():
        return
    with tempfile.TemporaryDirectory(prefix="making-", dir=home / "run") as folder:
        layer = _keep(build_builder_image(Path(folder)), home)
    write_private(file, json.dumps({**layer, "source": source}) + "\n")
    say("The builder image is ready.")


def _keep(image: BuiltImage, home: Path) -> dict[str, str | int]:
    """Move an image into the store and return it as a layer."""
    image.path.rename(store(home) / image.digest.removeprefix("sha256:"))
    return {"digest": image.digest, "size": image.size}


def _fingerprint(package: Path) -> str:
    """Return a digest over the files of a package."""
    digest = hashlib.sha256()
    for file in sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"{file.relative_to(package)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
