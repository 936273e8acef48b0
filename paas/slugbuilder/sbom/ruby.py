"""Ruby gems, from the specifications that Bundler leaves.

In: a tree.  Out: components; name and version are in each file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .component import Component, component

NAMED = re.compile(
    r"(?P<name>.+?)-(?P<version>\d[0-9A-Za-z.]*)(-(x86_64|aarch64|arm64|java|universal)[\w.-]*)?"
)
LICENSE = re.compile(r"""\.licenses? = \[?"([^"]{1,100})"(?:\.freeze)?""")


def ruby_gems(app: Path) -> Iterator[Component]:
    """Yield the gems below the app's bundle."""
    for place in ("vendor/bundle", ".bundle/gems", ".gems"):
        for file in sorted((app / place).glob("**/specifications/*.gemspec")):
            named = NAMED.fullmatch(file.stem)
            if named is None:
                continue
            license = LICENSE.search(file.read_text("utf-8", "replace"))
            found = component("gem", named["name"], named["version"], license[1] if license else "")
            if found:
                yield found
