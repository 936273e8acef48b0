"""Keeps the values of secret config vars out of what builds and release commands print.

In: config vars and a line.  Out: the line with `[MASKED]` for each secret in it. Pure.

The builder masks its own lines, the controller whatever comes out of a build, the app's own programs included.

What counts as a secret: a value of at least 8 characters whose name says so (KEY, TOKEN, PASSWORD …) or that looks
random, and the password of a URL. Ordinary values (`production`, `/app/static`, `https://example.com`) stay readable.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

MASK = "[MASKED]"
SHORTEST = 8  # characters; shorter values occur in ordinary words
RANDOM_LENGTH = 20  # characters
RANDOM_BITS = 3.5  # per character (Shannon)
NAMES = re.compile(
    r"(?i)secret|token|passw|pwd|passphrase|credential|private|salt|(^|_)(api_?)?keys?(_|$)|auth(?!or)|dsn"
)
# Names that say where something is or which it is, not what it is.
PLACES = re.compile(r"(?i)_(url|uri|host|domain|name|id|path|file|dir|ttl|age|backends?|class)$")
PUBLIC = frozenset({"SOURCE_VERSION"})  # looks random, but is the commit that was pushed
# A password, or a token in place of a user.
IN_URL = re.compile(r"//[^/\s:@]*:([^/\s@]{8,})@|//([^/\s:@]{12,})@")
WORD = re.compile(r"[A-Za-z0-9+/=_.~-]+")


class Masker:
    """Made once per build from its config vars."""

    def __init__(self, config: Mapping[str, str]) -> None:
        found = {text for name, value in config.items() for text in secrets_of(name, value)}
        # The longest first: one may hold another.
        parts = sorted(map(re.escape, found), key=len, reverse=True)
        self._pattern = re.compile("|".join(parts)) if parts else None

    def mask(self, line: str) -> str:
        """Return the line without any of the secrets."""
        return self._pattern.sub(MASK, line) if self._pattern else line


def secrets_of(name: str, value: str) -> Iterator[str]:
    """Yield the texts that must not be shown for one config var, in each form that programs print them."""
    for secret in _plain(name, value):
        yield from {secret, quote(secret, safe=""), secret.encode("unicode_escape").decode()}
        yield base64.b64encode(secret.encode()).decode().rstrip("=")


def _plain(name: str, value: str) -> Iterator[str]:
    if name in PUBLIC:
        return
    in_urls = {match[1] or match[2] for match in IN_URL.finditer(value)}
    if in_urls:
        yield from in_urls | {unquote(word) for word in in_urls}
    elif (NAMES.search(name) and not PLACES.search(name)) or _is_random(value):
        # A key of several lines is printed line by line.
        yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= SHORTEST)


def _is_random(value: str) -> bool:
    """Tell whether a value looks like a key: one long word of letters and digits without an order."""
    if len(value) < RANDOM_LENGTH or not WORD.fullmatch(value):
        return False
    if not (re.search(r"[0-9]", value) and re.search(r"[A-Za-z]", value)) or value.startswith(("/", ".")):
        return False
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= RANDOM_BITS
