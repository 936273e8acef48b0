"""Registries that refuse a base image.

In: what buildah printed, the credentials that it had.  Out: a BuildError that says whose password is wrong, or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ..errors import BuildError
from .plan import REGISTRY_AUTH

_SOURCE = re.compile(r"docker://([^/\s]+)/(\S+?):? ")
_REFUSED = re.compile(
    r"unauthorized|authentication required|invalid username/password|requested access .* denied"
)


def refusal(lines: Sequence[str], auth: str) -> BuildError | None:
    """Return the error of a base image that a registry keeps to itself, None for all others."""
    error = next((line for line in reversed(lines) if line.startswith("Error: ")), "")
    source = _SOURCE.search(error)
    if source is None or not _REFUSED.search(error):
        return None
    place, image = source.groups()
    if place in places(auth):
        message = f"{place} refuses the name and the password of the config var {REGISTRY_AUTH} for {image}."
        hint = f"Log in anew with `podman login --authfile FILE {place}`, and set it to the content of that file."
    else:
        message = f"{place} asks for a name and a password for {image}, or has no such image."
        hint = f"Set the config var {REGISTRY_AUTH} to the file of `podman login --authfile FILE {place}`."
    return BuildError("registry_refused", message, hint=hint)


def places(auth: str) -> set[str]:
    """Return the registries that a file of credentials names; keys may name a part of one, `quay.io/team`."""
    return {place.partition("/")[0] for place in json.loads(auth)["auths"]} if auth else set()
