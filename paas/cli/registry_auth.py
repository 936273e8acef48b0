"""Credentials for registries, from a file that nobody else can read.

In: a containers-auth.json(5), as `podman login` and `docker login` write it.  Out: what the API takes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from paas.cli.failures import Usage


def read_auth_file(path: str | None) -> Any:
    """Return the file's `auths`, None without a file. Raises Usage."""
    if path is None:
        return None
    file = Path(path)
    try:
        mode = file.stat().st_mode
        value = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise Usage(f"{path} cannot be read as a file of registry credentials ({error}).") from error
    if mode & 0o077:
        raise Usage(f"{path} can be read by others. Run `chmod 600 {path}`.")
    if not isinstance(value, dict) or not isinstance(value.get("auths"), dict):
        raise Usage(f'{path} has no "auths": make it with `podman login --authfile {path} REGISTRY`.')
    return {"auths": value["auths"]}
