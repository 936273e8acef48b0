"""Images, and which of them a host keeps.

In: nothing.  Out: types.
"""

from __future__ import annotations

from runtime.model.base import Struct


class ImageRef(Struct):
    """A squashfs image by content: `digest` is `sha256:<64 hex>`, `size` in bytes."""

    digest: str
    size: int = 0


class Rootfs(Struct):
    """The root of a container: squashfs layers, topmost first, over an optional host stack.

    `layers` may be empty only when `host` is true. `host` puts the host's own `/usr` (read-only) with a
    synthesised `/etc` at the bottom: a quick stack for tests and small boxes.
    """

    layers: tuple[ImageRef, ...] = ()
    host: bool = False


class HeldImage(Struct):
    """An image on a host. `used_at`: when it was fetched or last used; `in_use`: a container runs from it."""

    digest: str
    size: int
    used_at: float
    in_use: bool = False


class HeldImages(Struct):
    images: tuple[HeldImage, ...] = ()
