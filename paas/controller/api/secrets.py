"""URLs that carry their own permission, for clients that send no token (log and output streams, sources).

In: what the URL allows.  Out: a signed text that expires, and back.
"""

from __future__ import annotations

from typing import Any

from django.core import signing

from paas.errors import NotFound


def sign(purpose: str, content: dict[str, Any]) -> str:
    """Return text for a URL. It says who may see what; it cannot be made or changed without the platform's key."""
    return signing.dumps(content, salt=f"paas.api.{purpose}", compress=True)


def unsign(purpose: str, text: str, max_age: int) -> dict[str, Any]:
    """Return what was signed. Raises NotFound when it was not signed here, or for another purpose, or is too old."""
    try:
        content: dict[str, Any] = signing.loads(text, salt=f"paas.api.{purpose}", max_age=max_age)
    except signing.BadSignature as error:
        raise NotFound("This link is not valid or has expired. Ask the API for a new one.") from error
    return content
