"""What Gemfile.lock says: gems and the Bundler that wrote it.

In: its text.  Out: a frozen value. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GEM = re.compile(r"^    ([A-Za-z0-9_.-]+) \(([^)]+)\)$", re.MULTILINE)
BUNDLED = re.compile(r"^BUNDLED WITH\n\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class GemfileLock:
    gems: frozenset[str]
    bundler: str = ""


def parse_gemfile_lock(text: str) -> GemfileLock:
    text = text.replace("\r\n", "\n")
    bundled = BUNDLED.search(text)
    return GemfileLock(frozenset(name for name, _ in GEM.findall(text)), bundled[1] if bundled else "")
