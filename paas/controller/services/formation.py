"""Scaling process types.

In: new quantities and sizes.  Out: a release with the new formation, or None when nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from paas.controller.models import App, Release, User
from paas.controller.selectors.formation import SIZES
from paas.controller.selectors.releases import newest_release
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.errors import InvalidParams, NotFound

MAX_QUANTITY = 100
QUANTITY = re.compile(r"[+-]?\d{1,6}")


@dataclass(frozen=True)
class FormationUpdate:
    """`quantity` is absolute (3, "3") or relative ("+1", "-1"); `size` is a name of SIZES. None: as it is."""

    type: str
    quantity: int | str | None = None
    size: str | None = None


def scale(user: User, app: App, updates: Sequence[FormationUpdate]) -> Release | None:
    """Apply every update in one release. Raises NotFound or InvalidParams before anything changes."""
    with transaction.atomic():
        app = lock_app(app.id)
        base = newest_release(app)
        before = base.formation if base else {}
        after = {type_: dict(entry) for type_, entry in before.items()}
        for update in updates:
            _apply(app, after, update)
        if after == before:
            return None
        return create_release(user, app, Release.Kind.FORMATION, describe(before, after), formation=after)


def _apply(app: App, formation: dict[str, dict[str, object]], update: FormationUpdate) -> None:
    entry = formation.get(update.type)
    if entry is None:
        there = ", ".join(sorted(formation)) or "none before its first deploy"
        raise NotFound(
            f"Couldn't find process type {update.type} in {app.name}; it has: {there}.",
            app=app.name,
            resource="formation",
        )
    if update.quantity is not None:
        entry["quantity"] = _quantity(update, int(str(entry["quantity"])))
    if update.size is not None:
        size = SIZES.get(update.size.lower())
        if size is None:
            raise InvalidParams(f"There is no size {update.size}; choose one of: {', '.join(SIZES)}.")
        entry["size"] = size.name


def _quantity(update: FormationUpdate, before: int) -> int:
    text = str(update.quantity).strip()
    if not QUANTITY.fullmatch(text):
        raise InvalidParams(f"{update.quantity!r} is no quantity for {update.type}: use a number, +N or -N.")
    wanted = before + int(text) if text[0] in "+-" else int(text)
    if not 0 <= wanted <= MAX_QUANTITY:
        raise InvalidParams(f"{update.type} cannot be scaled to {wanted}: 0 to {MAX_QUANTITY} are possible.")
    return wanted


def describe(before: dict[str, dict[str, object]], after: dict[str, dict[str, object]]) -> str:
    changed = [
        f"{type_}={entry['quantity']}:{entry['size']}"
        for type_, entry in sorted(after.items())
        if before[type_] != entry
    ]
    return f"Scale {', '.join(changed)}"
