"""Where the image store keeps what.

In: the digest of an image.  Out: the path of its squashfs file under the data folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

from paas.errors import NotFound

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def image_path(digest: str) -> Path:
    """Return where an image is kept. Raises NotFound for what is no digest."""
    match = DIGEST.fullmatch(digest)
    if match is None:
        raise NotFound(f"{digest[:80]!r} is not the digest of an image.", resource="image")
    return Path(settings.PAAS.home) / "images" / "sha256" / match[1]
