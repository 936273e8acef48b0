"""What names of containers mean to an app.

In: a name such as `web.myapp.internal`, who asks, and who is where.  Out: addresses of its own healthy instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runtime.model import Member

ZONE = "internal"


def is_ours(name: str) -> bool:
    """Tell whether a name is answered here; all others are the host's name servers' business."""
    return name == ZONE or name.endswith(f".{ZONE}")


def resolve(name: str, owner: str, apps: Mapping[str, str], members: Iterable[Member]) -> list[str] | None:
    """Return the addresses behind a name, for the app `owner`; None when it has no such name. Pure.

    `APP.internal` is every instance, `TYPE.APP.internal` those of a process type, `TYPE.N.APP.internal` one of them.
    Other apps' names are told to nobody: whether they exist cannot be seen.
    """
    *wanted, app, _ = name.lower().split(".") if name.count(".") else ("", "")
    if not app or app != apps.get(owner, owner).lower():
        return None
    prefix = ".".join(wanted)
    found = [one for one in members if one.owner == owner and _matches(prefix, one.name.lower())]
    if prefix and not found:
        return None
    return list(dict.fromkeys(one.address for one in found if one.up and one.address))


def _matches(prefix: str, name: str) -> bool:
    return prefix in ("", name, name.rpartition(".")[0])
