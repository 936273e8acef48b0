"""What must not be read in a build's lines.

In: the environment of a build.  Out: the secret words in it, and lines without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|_KEY$|^KEY$|_AUTH$", re.IGNORECASE
)
IN_URL = re.compile(r"//([^/\s:@]*):([^/\s@]+)@|//([^/\s:@]{8,})@")
LEAST = 6  # shorter values are words that lines are full of
SHOWN = "****"


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of variables that are called secrets, and passwords in URLs; the longest first."""
    found: set[str] = set()
    for name, value in environ.items():
        if SECRET_NAME.search(name):
            found.update(value.splitlines())
        for match in IN_URL.finditer(value):
            word = match[2] or match[3]
            found |= {word, unquote(word)}
    return tuple(sorted((one for one in found if len(one) >= LEAST), key=lambda one: (-len(one), one)))


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, SHOWN)
    return text
