"""The seccomp profiles that an operator offers to apps by name.

In: a directory of NAME.json files.  Out: a `Profile`, or an EngineError that says what is wrong with it.
Read when a container is made: a changed file counts from the next start. Nobody but root may be able to change one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from runtime.container import trust
from runtime.container.port import EngineError
from runtime.container.seccomp import BUILTIN, IMAGE_BUILDS
from runtime.container.syscall_rules import Profile, read_profile
from runtime.model import IMAGE_BUILD

_BUILT_IN = {"": BUILTIN, IMAGE_BUILD: IMAGE_BUILDS}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}\Z")


def names(directory: Path) -> tuple[str, ...]:
    """Return the profiles that can be chosen."""
    return tuple(sorted(file.stem for file in directory.glob("*.json") if _NAME.match(file.stem)))


def load(directory: Path, name: str) -> Profile:
    """Return the profile of that name, '' for the built-in one. Raises EngineError."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name not in names(directory):
        there = ", ".join(names(directory)) or "none"
        raise EngineError(
            f"The seccomp profile {name!r} is not on this host, which has {there}: put {name}.json into {directory}."
        )
    file = directory / f"{name}.json"
    try:
        trust.check(file)
        return read_profile(json.loads(file.read_bytes()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise EngineError(f"The seccomp profile {name} cannot be used: {error}") from error
