"""The bill of materials as a document: CycloneDX 1.6, JSON (https://cyclonedx.org/docs/1.6/json/).

In: the app's packages.  Out: plain values without times, names or commits: equal trees give equal documents, so that
equal slugs stay equal. Whoever shows the document says whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from .component import Component


def render(components: Sequence[Component]) -> dict[str, Any]:
    """Return the document. Its serial number follows from what it says."""
    serial = uuid5(NAMESPACE_URL, repr([one.purl for one in components]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "paas slugbuilder"}]},
            "component": {"type": "application", "bom-ref": "app", "name": "app"},
        },
        "components": [_component(one) for one in components],
        "dependencies": [{"ref": "app", "dependsOn": sorted({one.purl for one in components})}],
    }


def _component(one: Component) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": "library", "bom-ref": one.purl}
    if one.group:
        shown["group"] = one.group
    shown |= {"name": one.name, "version": one.version, "purl": one.purl}
    if one.license:
        shown["licenses"] = [{"license": _license(one.license)}]
    return shown


def _license(text: str) -> dict[str, str]:
    """As a name: which texts are SPDX identifiers of today the document does not promise."""
    return {"name": text}
