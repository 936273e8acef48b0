"""Files that nobody reads because their name is nearly right.

In: the names in the root of the source.  Out: sentences that say which name is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

READ = (
    "Procfile", "requirements.txt", "runtime.txt", ".python-version", "pyproject.toml", "Pipfile", "Pipfile.lock",
    "poetry.lock", "uv.lock", "nltk.txt", "package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml",
    "pnpm-workspace.yaml", ".nvmrc", ".slugignore", "app.json", "Staticfile", "static.json", "_redirects",
    "_headers", "project.toml",
)  # fmt: skip
ALIKE = 0.86
ENDINGS = re.compile(r"\.(txt|text|md|in|json|sh)$")
# Real files whose names are near another's.
OTHERS = frozenset({"Pipfile", "package.json", "packages.json", "app.js", "_header", "requirements.in"})


def misspelled(names: Iterable[str]) -> list[str]:
    """Return a sentence per file whose name is nearly that of a file which is absent."""
    present = set(names)
    absent = [name for name in READ if name not in present]
    found = []
    for name in sorted(present - set(READ) - OTHERS):
        meant = next((one for one in absent if looks_like(name, one)), "")
        if meant:
            found.append(f"{name} is not read: the file must be named {meant}.")
    return found


def looks_like(name: str, meant: str) -> bool:
    if simple(name) == simple(meant) or simple(ENDINGS.sub("", name)) == simple(meant):
        return True
    if abs(len(name) - len(meant)) > 2 or len(meant) < 8:
        return False
    return SequenceMatcher(None, name.lower(), meant.lower()).ratio() >= ALIKE


def simple(name: str) -> str:
    """Case, dots, dashes and underscores are what people mix up."""
    return re.sub(r"[-_. ]", "", name.lower())
