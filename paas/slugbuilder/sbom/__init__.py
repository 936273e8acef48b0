"""What is in a slug: a CycloneDX bill of materials, read from the compiled tree.

In: the folder of a compiled app.  Out: `.paas/sbom.cdx.json` in it, the same bytes for the same tree.
"""

from __future__ import annotations

import json
from pathlib import Path

from .cnb import layer_packages
from .component import Component
from .document import render
from .go import go_modules
from .java import java_archives
from .node import node_packages
from .php import php_packages
from .python import python_packages
from .ruby import ruby_gems

FILE = ".paas/sbom.cdx.json"
READERS = (python_packages, node_packages, ruby_gems, php_packages, go_modules, java_archives, layer_packages)


def components_of(app: Path) -> tuple[Component, ...]:
    """Return every package that is installed in the tree, once, in order."""
    return tuple(sorted({component for read in READERS for component in read(app)}))


def write_sbom(app: Path) -> int:
    """Write the bill of materials of the app; return how many packages it names. Raises OSError."""
    found = components_of(app)
    target = app / FILE
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(render(found), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return len(found)
