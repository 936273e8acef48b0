"""The image store: squashfs files by digest under the data folder.

In: a stream of bytes that claims a digest.  Out: a file that has it, or a clear refusal.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from paas.controller.models import Release, Slug, Stack, StackLanguage
from paas.controller.selectors.images import image_path
from paas.errors import InvalidParams
from paas.slugbuilder.squash import BuiltImage
from runtime.model import ImageRef

GRACE_SECONDS = 3600.0  # an image may arrive before the row that names it


def store_image(digest: str, chunks: Iterable[bytes]) -> int:
    """Keep the image and return its size. Raises InvalidParams when the bytes do not have that digest."""
    target = image_path(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}")
    hasher, size = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                hasher.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave a release whose image is half there
        if f"sha256:{hasher.hexdigest()}" != digest:
            raise InvalidParams(f"The bytes sent do not have the digest {digest}; send them again.")
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    return size


def adopt_image(digest: str, file: Path) -> None:
    """Move a file that has this digest into the store."""
    target = image_path(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.utime(file)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    file.replace(target)


def keep(image: BuiltImage) -> dict[str, str | int]:
    """Link an image that was made here into the store and return it as a layer."""
    target = image_path(image.digest)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(image.path)
    os.utime(target)  # somebody is about to name it
    return {"digest": image.digest, "size": image.size}


def is_kept(digest: str) -> bool:
    """Tell whether the image is there; if so it is spared for as long as a new one, as somebody is about to name it."""
    try:
        os.utime(image_path(digest))
    except FileNotFoundError:
        return False
    return True


def builder_image() -> ImageRef | None:
    """Return the builder's image as set up, or None before the first set-up."""
    file = Path(settings.PAAS.home) / "builder.json"
    if not file.exists():
        return None
    values = json.loads(file.read_text())
    return ImageRef(digest=values["digest"], size=values["size"])


def forget_unused() -> int:
    """Delete images that nothing names and nobody has asked for lately. Returns how many."""
    folder = Path(settings.PAAS.home) / "images" / "sha256"
    # Those that are old now; what names them is read after that, so that a row written meanwhile counts.
    candidates = [file for file in (folder.iterdir() if folder.is_dir() else ()) if _is_old(file)]
    if not candidates:
        return 0
    used = set(Slug.objects.values_list("digest", flat=True))
    prebuilt = Slug.objects.exclude(images={}).values_list("images", flat=True)
    used |= {image["digest"] for images in prebuilt for image in images.values()}
    layers = [
        *Stack.objects.values_list("run_layers", flat=True),
        *Stack.objects.values_list("build_layers", flat=True),
        *StackLanguage.objects.values_list("run_layers", flat=True),
        *StackLanguage.objects.values_list("build_layers", flat=True),
    ]
    layers += list(Release.objects.values_list("stack_layers", flat=True).distinct())
    layers += list(Slug.objects.exclude(layers=[]).values_list("layers", flat=True))
    used |= {layer["digest"] for group in layers for layer in group}
    builder = builder_image()
    if builder is not None:
        used.add(builder.digest)
    doomed = [file for file in candidates if f"sha256:{file.name}" not in used and _is_old(file)]
    for file in doomed:
        file.unlink(missing_ok=True)
    return len(doomed)


def _is_old(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime > GRACE_SECONDS
    except FileNotFoundError:
        return False
