"""Which apps a host has, or had until lately.

In: a host and what it says of apps.  Out: the apps it may speak of.
"""

from __future__ import annotations

from collections.abc import Set
from uuid import UUID

from paas.controller.models import Departure, Host, Instance, OneOff


def apps_placed_on(host: Host, named: Set[str]) -> set[str]:
    """Return those of the `named` ids of apps of which the host runs something, or did until lately."""
    ids = {one: name for name in named if (one := _uuid(name)) is not None}
    here = (
        model.objects.filter(host=host, app__in=ids).order_by().values_list("app", flat=True)
        for model in (Instance, OneOff, Departure)
    )
    first, *others = here
    return {ids[app] for app in first.union(*others)}


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
