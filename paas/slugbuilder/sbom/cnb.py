"""Packages that Cloud Native Buildpacks tell of, from the CycloneDX files of their layers for launch.

In: a tree.  Out: components with the package URLs that those files name; other formats are kept, not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .component import Component, component
from .reading import read_object

FOLDER = ".paas/layers/sbom/launch"


def layer_packages(app: Path) -> Iterator[Component]:
    """Yield the components of every sbom.cdx.json that have a package URL."""
    for file in sorted((app / FOLDER).rglob("sbom.cdx.json")):
        listed = read_object(file).get("components")
        for one in listed if isinstance(listed, list) else ():
            found = _component(one) if isinstance(one, dict) else None
            if found:
                yield found


def _component(one: dict[str, Any]) -> Component | None:
    purl = one.get("purl")
    if not isinstance(purl, str) or not purl.startswith("pkg:"):
        return None
    kind, _, place = purl.removeprefix("pkg:").partition("?")[0].partition("#")[0].partition("/")
    group, _, last = place.rpartition("/")
    name, _, written = last.partition("@")
    version = unquote(written) if written else one.get("version")  # a package URL may leave it out
    return component(kind, unquote(name), version, group=unquote(group))
