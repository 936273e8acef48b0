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
from paas.controller.services.images import keep
from paas.controller.services.languages import made_again, put_languages
from paas.controller.services.stacks import describe
from paas.secrets import write_private
from paas.slugbuilder.image import build_builder_image
from paas.slugbuilder.stacks import make_stack

Say = Callable[[str], None]


def ensure_stack(configuration: Configuration, say: Say) -> Stack:
    """Make the stack of new apps when it is missing or of an older definition, and make it the default one.

    One that was imported is as good, and is left as it is.
    """
    if configuration.debian_mirror:
        os.environ["PAAS_DEBIAN_MIRROR"] = configuration.debian_mirror
    stack = Stack.objects.exclude(source="").filter(name=configuration.stack).first()
    if stack is None:
        stack = _made_here(configuration, say)
    Stack.objects.filter(id=stack.id).update(is_default=True)
    Stack.objects.exclude(id=stack.id).filter(is_default=True).update(is_default=False)
    return stack


def _made_here(configuration: Configuration, say: Say) -> Stack:
    images = make_stack(configuration.stack, configuration.home / "stacks", say)
    stack = Stack.objects.filter(name=images.name).first() or Stack(name=images.name)
    made = describe(images)
    wanted = {
        "run_layers": made.run,
        "build_layers": made.build,
        "python_version": made.python,
        "node_version": made.node,
        "abi": made.abi,
        "is_default": True,
    }
    if stack._state.adding or any(getattr(stack, name) != value for name, value in wanted.items()):
        for name, value in wanted.items():
            setattr(stack, name, value)
        languages = made_again(None if stack._state.adding else stack, made.run, made.build, say)
        stack.save()
        put_languages(stack, languages)
    return stack


def ensure_builder(home: Path, ca_bundle: Path | None, say: Say) -> None:
    """Make the image that holds the build program, again whenever the program changed."""
    file = home / "builder.json"
    image = build_builder_image(home / "stacks" / "builder", home / "buildpacks", ca_bundle)
    note = json.dumps(keep(image)) + "\n"
    if not file.exists() or file.read_text() != note:
        write_private(file, note)
        say("The builder image is ready.")
