"""Languages on stacks: made when the first build needs one, and again when the stack's images change.

In: a stack, names of languages.  Out: rows whose layers are in the image store. Safe to repeat, and to run twice
at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from paas.controller.models import Stack, StackLanguage
from paas.controller.selectors.images import image_path
from paas.controller.selectors.languages import lacking, stack_base
from paas.controller.services.images import keep
from paas.oci.errors import ImageError
from paas.slugbuilder.language_definitions import LANGUAGES, Language
from paas.slugbuilder.language_making import LanguageImages, make_language
from paas.slugbuilder.squash import BuiltImage
from paas.slugbuilder.squash import ImageError as NotMade

Say = Callable[[str], None]
Layers = list[dict[str, Any]]


@dataclass(frozen=True)
class MadeLanguage:
    """A language's row to be: named like the columns."""

    language: str
    definition: str
    base: str
    run_layers: Layers
    build_layers: Layers
    version: str
    abi: str


def ensure_languages(stack: Stack, names: Iterable[str], say: Say) -> None:
    """Make what the stack lacks of these languages. Raises ImageError."""
    for name in lacking(stack, names):
        label = LANGUAGES[name].label
        say(f"-----> Adding {label} to the stack {stack.name}: once for all apps, a minute or a few")
        put_languages(stack, [make(stack.name, name, stack.run_layers, stack.build_layers, say)])


def made_again(stack: Stack | None, run_layers: Layers, build_layers: Layers, say: Say) -> list[MadeLanguage]:
    """Make the languages that a stack has for other images of it. Raises ImageError."""
    base = stack_base(run_layers, build_layers)
    rows = stack.languages.exclude(base=base).order_by("language") if stack else []
    return [
        make(row.stack.name, row.language, run_layers, build_layers, say)
        for row in rows
        if row.language in LANGUAGES
    ]


def put_languages(stack: Stack, made: Iterable[MadeLanguage]) -> None:
    """Note what was made. Part of whatever transaction puts the images in place that it was made on."""
    with transaction.atomic():
        for one in made:
            values = asdict(one)
            StackLanguage.objects.update_or_create(
                stack=stack, language=values.pop("language"), defaults=values
            )


def make(stack: str, name: str, run_layers: Layers, build_layers: Layers, say: Say) -> MadeLanguage:
    """Make a language's layers on images that are in the store, and keep them there. Raises ImageError."""
    language = LANGUAGES[name]
    if os.geteuid() != 0:
        raise ImageError(
            f"{language.label} is added to a stack by apt-get in a mount namespace, which needs root, and the "
            "platform's worker is not root. Ask who runs the platform.",
            id="language_unavailable",
        )
    folder = Path(settings.PAAS.home) / "stacks" / stack / name
    try:
        images = _make(language, run_layers, build_layers, folder, say)
    except NotMade as error:
        message = f"{language.label} could not be added to the stack {stack}: {error}"
        raise ImageError(message, id="language_unavailable") from error
    return MadeLanguage(
        language=name,
        definition=language.fingerprint,
        base=stack_base(run_layers, build_layers),
        run_layers=[keep(images.run)] if images.run else [],
        build_layers=[keep(images.build)],
        version=images.version[:64],
        abi=bound_to(images.version, language.abi_parts),
    )


def _make(
    language: Language, run_layers: Layers, build_layers: Layers, folder: Path, say: Say
) -> LanguageImages:
    run_image, build_image = (_stored(layers) for layers in (run_layers, build_layers))
    return make_language(language, run_image, build_image, folder, lambda line: say(f"       {line.strip()}"))


def _stored(layers: Layers) -> BuiltImage:
    """A stack made here has one image of each kind."""
    layer = layers[0]
    return BuiltImage(image_path(layer["digest"]), layer["digest"], layer["size"])


def bound_to(version: str, parts: int) -> str:
    """Return as many parts of a version as compiled code is bound to: `3.3` of `3.3.8`, '' for none."""
    found = re.search(r"\d+(?:\.\d+)*", version)
    return ".".join(found[0].split(".")[:parts]) if found and parts else ""
