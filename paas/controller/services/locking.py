"""The locks that serialise changes.

In: an app, hosts or instances inside a transaction.  Out: their rows, locked until the transaction ends.

PostgreSQL locks rows; on SQLite a transaction holds the whole database anyway (BEGIN IMMEDIATE). Whoever takes more
than one lock takes them in this order: accounts, app, hosts, instances, one-offs, the route version, each kind by id.
So a report and a plan that meet wait for each other, instead of one of them being killed to end a deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from paas.controller.models import App, Host, Instance, User
from paas.errors import NotFound

CLAIMS = 7041  # number of the advisory lock under which builds are claimed


def lock_app(app_id: UUID) -> App:
    """Return the app locked. Raises NotFound when it has been destroyed."""
    app = lock_app_if_there(app_id)
    if app is None:
        raise NotFound("That app has been destroyed.", resource="app")
    return app


def lock_app_if_there(app_id: UUID) -> App | None:
    """Return the app locked, or None. NO KEY: rows that only refer to the app can be written meanwhile."""
    return App.objects.select_for_update(no_key=True).filter(id=app_id).first()


def lock_accounts(accounts: QuerySet[User]) -> list[User]:
    """Lock accounts and return them as they are now; rows that only refer to them can be written meanwhile."""
    return list(accounts.select_for_update(no_key=True).order_by("id"))


def lock_hosts(ids: Iterable[UUID] | None = None) -> list[Host]:
    """Lock hosts, by default all, and return them as they are now."""
    hosts = Host.objects.select_for_update(no_key=True).order_by("id")
    return list(hosts if ids is None else hosts.filter(id__in=set(ids)))


def lock_instances(instances: QuerySet[Instance]) -> list[Instance]:
    """Lock instances and return them as they are now, without their encrypted orders."""
    return list(instances.select_for_update(no_key=True).order_by("id").defer("spec"))


def lock_claims() -> None:
    """Let one worker at a time choose a build, so that none sees a free place that another is taking."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIMS])
