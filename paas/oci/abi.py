"""What programs built on a root count on: its system and its interpreters.

In: files of a root (os-release, dpkg's status).  Out: `debian 12`, `3.11.2`. Pure; nothing of the root is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

_VERSION = re.compile(r"(?:\d+:)?(\d+\.\d+(?:\.\d+)?)")


def system(os_release: str) -> str:
    """Return ID and version of os-release(5): `debian 13`, `debian forky`, `alpine 3.20.1`; '' when it does not say."""
    values: dict[str, str] = {}
    for line in os_release.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            try:
                values[name.strip()] = "".join(shlex.split(value))
            except ValueError:
                continue
    version = values.get("VERSION_ID") or values.get("VERSION_CODENAME", "")
    return f"{values.get('ID', '')} {version}".strip() if values.get("ID") else ""


def installed(dpkg_status: str) -> dict[str, str]:
    """Return Debian's packages with their upstream versions."""
    found: dict[str, str] = {}
    for paragraph in dpkg_status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", paragraph, re.MULTILINE))
        version = _VERSION.match(fields.get("Version", ""))
        if version and fields.get("Status", "").endswith(" installed"):
            found[fields.get("Package", "")] = version[1]
    return found


def interpreters(texts: Mapping[str, str], python: str) -> tuple[str, str]:
    """Return the versions of python3 and node, '' for what is not there. `python` is known from a link."""
    packages = installed(texts.get("dpkg", ""))
    full = packages.get(f"python{python}", "") if python else ""
    return full or python or packages.get("python3", ""), packages.get("nodejs", "")


def minor(version: str) -> str:
    """Return `3.11` of `3.11.2`."""
    return ".".join(version.split(".")[:2])


def abi(system_name: str, python: str, node: str) -> dict[str, str]:
    """Return what is kept with stacks and slugs. Node's addons are bound to its major version."""
    return {"os": system_name, "python": minor(python), "node": node.partition(".")[0]}
