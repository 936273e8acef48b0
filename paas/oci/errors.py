"""Images that cannot be had or taken.

In: what is wrong.  Out: a stable id and a sentence that says what to do next.
"""

from __future__ import annotations


class ImageError(Exception):
    """An image that is refused. `id` is stable (docs/errors.md), `message` a sentence for whoever sent it."""

    def __init__(self, message: str, *, id: str = "image_refused") -> None:
        super().__init__(message)
        self.message = message
        self.id = id


def damaged(what: str) -> ImageError:
    """What was received is not what its digest says."""
    return ImageError(
        f"{what} is damaged: its content does not have the digest that names it. Nothing was kept; fetch or push it "
        "again.",
        id="image_damaged",
    )
