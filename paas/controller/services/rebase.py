"""Putting an app's code on newer layers of its stack, without building it.

In: an app.  Out: a release like the one before but for its stack layers; it is health-checked and revertible like any.
"""

from __future__ import annotations

from django.db import transaction

from paas.controller.models import App, Release, Stack, User
from paas.controller.selectors.languages import run_layers
from paas.controller.selectors.releases import newest_release
from paas.controller.selectors.stacks import is_behind, needs_build
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.errors import Conflict, InvalidParams


def rebase(user: User, app: App) -> Release | None:
    """Release the newest code on its stack's layers of today. None: it is on them already.

    Raises Conflict when that needs a build, with the reason.
    """
    with transaction.atomic():
        app = lock_app(app.id)
        release = newest_release(app)
        if release is None or release.slug is None:
            raise InvalidParams(
                f"{app.name} has no code yet; push some first: git push paas main.", app=app.name
            )
        if release.slug.images:
            raise InvalidParams(
                f"{app.name} runs prebuilt images, which bring their own system; deploy newer ones.",
                app=app.name,
            )
        stack = Stack.objects.filter(name=release.stack).first()
        if stack is None:
            raise InvalidParams(
                f"The stack {release.stack} of {app.name} is gone; push it again.", app=app.name
            )
        if not is_behind(release, stack):
            return None
        reason = needs_build(release, stack)
        if reason:
            raise Conflict(
                f"{app.name} cannot be rebased on {stack.name}: {reason}. Push it again, which builds it anew.",
                id="build_needed",
                app=app.name,
            )
        layers = run_layers(stack, release.slug.buildpacks)
        words = f"Rebase on {stack.name} of {stack.updated_at:%Y-%m-%d %H:%M} UTC"
        return create_release(user, app, Release.Kind.REBASE, words, layers=layers)
