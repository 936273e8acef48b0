"""Restarting instances by hand.

In: an app and which of its instances.  Out: rows marked as stale; the planner replaces them without a gap.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from paas.controller.models import App, Instance, User
from paas.controller.queue import enqueue
from paas.controller.selectors.dynos import as_uuid
from paas.controller.selectors.planning import STALE
from paas.controller.selectors.specs import WEB
from paas.controller.services import deployments, events
from paas.controller.services.locking import lock_app, lock_instances
from paas.controller.texts import storable
from paas.errors import NotFound


def restart(user: User, app: App, *, process_type: str | None = None, name: str | None = None) -> int:
    """Replace instances by fresh ones; each serves until its replacement is up. Returns how many."""
    with transaction.atomic():
        app = lock_app(app.id)
        chosen = Instance.objects.filter(app=app, wanted=Instance.Wanted.RUN)
        if process_type is not None:
            chosen = chosen.filter(process_type=storable(process_type))
        if name is not None:
            chosen = _named(chosen, name)
        found = lock_instances(chosen)
        if not found and (process_type or name):
            raise NotFound(
                f"Couldn't find {name or process_type} in {app.name}.", app=app.name, resource="dyno"
            )
        for instance in found:
            Instance.objects.filter(id=instance.id).update(
                template=f"{STALE}{instance.id.hex[:24]}",
                reason="restart asked for",
                updated_at=timezone.now(),
            )
        events.record(user, "dyno.restart", name or process_type or "all", app, count=len(found))
        enqueue("planning.reconcile_app", str(app.id))
    return len(found)


def stop_instance(user: User, app: App, name: str) -> None:
    """Stop one instance at once; as its process type still wants it, a fresh one takes its place."""
    with transaction.atomic():
        app = lock_app(app.id)
        chosen = lock_instances(_named(Instance.objects.filter(app=app, wanted=Instance.Wanted.RUN), name))
        if not chosen:
            raise NotFound(f"Couldn't find {name} in {app.name}.", app=app.name, resource="dyno")
        now = timezone.now()
        for instance in chosen:
            Instance.objects.filter(id=instance.id).update(
                wanted="drain",
                wanted_since=now,
                drained=instance.process_type != WEB,
                reason="stop asked for",
                updated_at=now,
            )
        deployments.bump_routes()
        events.record(user, "dyno.stop", name, app)
        enqueue("planning.reconcile_app", str(app.id))


def _named(instances: QuerySet[Instance], name: str) -> QuerySet[Instance]:
    process_type, _, number = storable(name).rpartition(".")
    if not (number.isascii() and number.isdigit()) or not process_type:
        identity = as_uuid(name)
        return instances.filter(id=identity) if identity else instances.none()
    return instances.filter(process_type=process_type, number=int(number))
