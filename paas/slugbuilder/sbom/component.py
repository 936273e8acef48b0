"""One package of an app.

In: what its own metadata says.  Out: a value with a package URL (https://github.com/package-url/purl-spec).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

LONGEST = 300  # characters of a name or version; what is longer is no package's


@dataclass(frozen=True, order=True)
class Component:
    """`kind` is purl's: pypi, npm, gem, composer, golang, maven. `group`: npm scope, Composer vendor, Maven group."""

    kind: str
    group: str
    name: str
    version: str
    license: str = ""

    @property
    def purl(self) -> str:
        """Return `pkg:KIND/GROUP/NAME@VERSION`."""
        place = "/".join(quote(part, safe=".-_~") for part in (*self.group.split("/"), self.name) if part)
        return f"pkg:{self.kind}/{place}@{quote(self.version, safe='.-_~')}"


def component(
    kind: str, name: object, version: object, license: object = "", group: object = ""
) -> Component | None:
    """Return a component, None when its metadata does not name it: files of tenants hold anything."""
    if not (isinstance(name, str) and isinstance(version, str) and isinstance(group, str)):
        return None
    if not name or not version or max(len(name), len(version), len(group)) > LONGEST:
        return None
    words = license if isinstance(license, str) and len(license) <= LONGEST else ""
    return Component(kind, group, name, version, words.strip())


def normalize_pypi(name: str) -> str:
    """Return a Python project's name as package URLs have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
