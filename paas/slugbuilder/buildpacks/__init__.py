"""The buildpacks, in the order in which they are asked.

In: an unpacked source tree.  Out: the first buildpack that fits, or a BuildError listing what was looked for.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BuildError
from ..workspace import Buildpack
from .go import GO
from .java import JAVA
from .node import NODE
from .php import PHP
from .procfile import PROCFILE
from .python import PYTHON
from .ruby import RUBY
from .static import STATIC

BUILDPACKS: tuple[Buildpack, ...] = (RUBY, PYTHON, JAVA, PHP, GO, NODE, STATIC, PROCFILE)


def detect(app: Path, buildpacks: tuple[Buildpack, ...] = BUILDPACKS) -> Buildpack:
    """Return the first buildpack whose files are in the root of the source."""
    for buildpack in buildpacks:
        if buildpack.detect(app):
            return buildpack
    present = sorted(entry.name for entry in app.iterdir())
    details = tuple(f"{buildpack.label:<9} {buildpack.looks_for}" for buildpack in buildpacks)
    found = ", ".join(present[:8]) + (f" and {len(present) - 8} more" if len(present) > 8 else "")
    raise BuildError(
        "no_buildpack",
        f"No buildpack fits this app. Its root holds: {found or 'nothing'}. One of these is needed in the root:",
        details=details,
        hint="Add the file, commit and push again. If the app lives in a sub-folder, push that folder as the root.",
    )
