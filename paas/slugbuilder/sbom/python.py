"""Python packages, from the metadata that installers leave (PEP 376, PEP 639).

In: a tree.  Out: components of each `*.dist-info`.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from .component import Component, component, normalize_pypi

SITE = "lib/python3*/site-packages"
ROOTS = (".venv", "venv", "env", "python", ".heroku/python", "")


def python_packages(app: Path) -> Iterator[Component]:
    """Yield what is installed in the app's virtual environment."""
    for root in ROOTS:
        for folder in (app / root).glob(SITE):
            yield from _installed(folder)


def _installed(folder: Path) -> Iterator[Component]:
    for file in sorted(folder.glob("*.dist-info/METADATA")):
        headers = HeaderParser().parsestr(file.read_text("utf-8", "replace"))
        license = headers.get("License-Expression") or headers.get("License") or ""
        found = component(
            "pypi", normalize_pypi(headers.get("Name", "")), headers.get("Version"), first_line(license)
        )
        if found:
            yield found


def first_line(text: str) -> str:
    """Some put the whole licence there."""
    return text.strip().partition("\n")[0]
