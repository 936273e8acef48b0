"""Reading releases: the ledger, one of them, its config, and what differs between two.

In: an app.  Out: rows and frozen values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from paas.controller.encryption import decrypt_config
from paas.controller.models import App, Release
from paas.errors import NotFound
from runtime.model import show_ulimit

VERSION = re.compile(r"v?[0-9]{1,9}")


def releases(app: App) -> QuerySet[Release]:
    return app.releases.select_related("user", "slug").order_by("version")


def newest_release(app: App) -> Release | None:
    """Return the newest release that is or may become live: what the next change builds on."""
    return releases(app).exclude(status__in=Release.NEVER_LIVE).last()


def find_release(app: App, id_or_version: str | int) -> Release:
    """Return a release by id, `v12`, `12` or `current`. Raises NotFound."""
    text = str(id_or_version).strip().lower()
    found: Release | None = None
    if text == "current":
        found = app.current_release
    elif VERSION.fullmatch(text):
        found = releases(app).filter(version=int(text.removeprefix("v"))).first()
    else:
        try:
            found = releases(app).filter(id=UUID(text)).first()
        except ValueError:
            found = None
    if found is None:
        raise NotFound(f"Couldn't find release {id_or_version} of {app.name}.", resource="release")
    return found


def release_config(release: Release) -> dict[str, str]:
    return decrypt_config(release.config_encrypted)


@dataclass(frozen=True)
class ReleaseDiff:
    """What changes from release `a` to `b`; config vars by name only. Empty parts do not differ."""

    code: tuple[str, str] | None = None
    stack: tuple[str, str] | None = None
    config: dict[str, str] = field(default_factory=dict)  # name -> added, removed, changed
    formation: dict[str, tuple[str, str]] = field(default_factory=dict)  # type -> (old, new)
    health_checks: dict[str, tuple[str, str]] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    kernel: dict[str, tuple[str, str]] = field(default_factory=dict)  # sysctl or ulimit -> (old, new)
    sandbox: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # runtime, seccomp, readonly -> (old, new)
    volumes: dict[str, tuple[str, str]] = field(default_factory=dict)  # volume -> (old, new) places

    @property
    def empty(self) -> bool:
        differences = (self.code, self.stack, self.config, self.formation, self.health_checks)
        return not any((*differences, self.domains, self.kernel, self.sandbox, self.volumes))


def diff(a: Release, b: Release) -> ReleaseDiff:
    """Return what differs between two releases of one app."""
    return ReleaseDiff(
        code=_changed(_code(a), _code(b)),
        stack=_changed(a.stack, b.stack),
        config=_names(release_config(a), release_config(b)),
        formation=_pairs(_formation(a), _formation(b)),
        health_checks=_pairs(_texts(a.health_checks), _texts(b.health_checks)),
        domains=_names(dict.fromkeys(a.domains, ""), dict.fromkeys(b.domains, "")),
        kernel=_pairs(_kernel(a), _kernel(b)),
        sandbox=_pairs(_sandbox(a), _sandbox(b)),
        volumes=_pairs(_places(a), _places(b)),
    )


def _code(release: Release) -> str:
    slug = release.slug
    return f"{slug.commit[:12]} {slug.digest[:19]}".strip() if slug else ""


def _formation(release: Release) -> dict[str, str]:
    return {
        type_: f"{entry['quantity']} × {entry['size']}: {entry['command']}"
        for type_, entry in release.formation.items()
    }


def _kernel(release: Release) -> dict[str, str]:
    limits = release.kernel.get("ulimits", {})
    shown = {name: show_ulimit(soft, hard) for name, (soft, hard) in limits.items()}
    return {**release.kernel.get("sysctls", {}), **shown}


def _sandbox(release: Release) -> dict[str, str]:
    return {name: "on" if value is True else value for name, value in release.sandbox.items()}


def _places(release: Release) -> dict[str, str]:
    places: dict[str, list[str]] = {}
    for one in release.volumes:
        access = ":ro" if one["read_only"] else ""
        places.setdefault(one["name"], []).append(f"{one['type']}:{one['target']}{access}")
    return {name: ", ".join(sorted(found)) for name, found in places.items()}


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {
        name: ", ".join(f"{key}={one}" for key, one in sorted(entry.items()))
        for name, entry in values.items()
    }


def _changed(old: str, new: str) -> tuple[str, str] | None:
    return (old, new) if old != new else None


def _pairs(old: dict[str, str], new: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {
        key: (old.get(key, ""), new.get(key, "")) for key in sorted(old | new) if old.get(key) != new.get(key)
    }


def _names(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    words: dict[str, str] = {}
    for key in sorted(old | new):
        if key not in old:
            words[key] = "added"
        elif key not in new:
            words[key] = "removed"
        elif old[key] != new[key]:
            words[key] = "changed"
    return words
