"""Choosing the buildpacks of an app.

In: references as people and Heroku's clients write them.  Out: the list that the next build uses; empty: detected.

They belong to the app, not to its releases: what runs stays as it was built.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from paas.controller.models import App, User
from paas.controller.services import events
from paas.controller.services.locking import lock_app
from paas.errors import InvalidParams
from paas.slugbuilder.heroku.references import MOST, of_one_kind, parse_reference, parse_schemes


def set_buildpacks(user: User, app: App, given: Sequence[str]) -> App:
    """Use exactly these, in this order, from the next build on. Raises InvalidParams naming the one that is wrong."""
    wanted = read_references(given)
    with transaction.atomic():
        app = lock_app(app.id)
        if app.buildpacks != wanted:
            app.buildpacks = wanted
            app.save(update_fields=["buildpacks", "updated_at"])
            events.record(user, "app.buildpacks", app.id, app, buildpacks=wanted)
    return app


def read_references(given: Sequence[str]) -> list[str]:
    """Return each in its one spelling."""
    if len(given) > MOST:
        raise InvalidParams(f"{len(given)} buildpacks are more than the {MOST} that an app can have.")
    try:
        references = [parse_reference(one, allowed_schemes()) for one in given]
        of_one_kind(references)
    except ValueError as error:
        raise InvalidParams(str(error)) from error
    texts = [one.text for one in references]
    if twice := next((text for text in texts if texts.count(text) > 1), None):
        raise InvalidParams(f"The buildpack {twice} is named twice.")
    return texts


def allowed_schemes() -> tuple[str, ...]:
    """Raises InvalidParams when the operator's setting is wrong."""
    given = settings.PAAS.buildpack_schemes
    try:
        return parse_schemes(given)
    except ValueError as error:
        message = (
            f"PAAS_BUILDPACK_SCHEMES={given!r} of this platform cannot be used: {error}. Ask who runs it."
        )
        raise InvalidParams(message) from error


def builder_arguments(app: App) -> tuple[str, ...]:
    """Return what the builder is told: arguments, which no config var can clash with. None: it does as always."""
    schemes = allowed_schemes()
    named = tuple(f"--buildpack={text}" for text in app.buildpacks)
    return named + ((f"--buildpack-schemes={','.join(schemes)}",) if schemes != ("https",) else ())
