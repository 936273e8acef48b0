"""The images under every app: the default stack and the builder, put into the image store.

In: a stack's name.  Out: its row, `builder.json`, and files in the store, which the controller serves to agents.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from paas.configuration import Configuration
from paas.controller.models import Stack
from paas.controller.selectors.images import image_path
from paas.secrets import write_private
from paas.slugbuilder.image import build_builder_image
from paas.slugbuilder.squash import BuiltImage
from paas.slugbuilder.stacks import make_stack

Say = Callable[[str], None]


def ensure_stack(configuration: Configuration, say: Say) -> Stack:
    """Make the stack of new apps when it is missing or of an older definition, and make it the default one."""
    if configuration.debian_mirror:
        os.environ["PAAS_DEBIAN_MIRROR"] = configuration.debian_mirror
    images = make_stack(configuration.stack, configuration.home / "stacks", say)
    stack = Stack.objects.filter(name=images.name).first() or Stack(name=images.name)
    wanted = {
        "run_layers": [keep(images.run)] if images.run else [],
        "build_layers": [keep(images.build)] if images.build else [],
        "python_version": images.python_version,
        "node_version": images.node_version,
        "is_default": True,
    }
    if stack._state.adding or any(getattr(stack, name) != value for name, value in wanted.items()):
        for name, value in wanted.items():
            setattr(stack, name, value)
        stack.save()
    Stack.objects.exclude(id=stack.id).filter(is_default=True).update(is_default=False)
    return stack


def ensure_builder(home: Path, say: Say) -> None:
    """Make the image that holds the build program, again whenever the program changed."""
    file = home / "builder.json"
    image = build_builder_image(home / "stacks" / "builder")
    note = json.dumps(keep(image)) + "\n"
    if not file.exists() or file.read_text() != note:
        write_private(file, note)
        say("The builder image is ready.")


def keep(image: BuiltImage) -> dict[str, str | int]:
    """Link an image into the store and return it as a layer."""
    target = image_path(image.digest)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(image.path)
    return {"digest": image.digest, "size": image.size}
