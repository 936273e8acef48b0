"""Creating, renaming and destroying apps.

In: what a user asked for.  Out: rows; what is on hosts and routers follows from them.
"""

from __future__ import annotations

import re
import secrets

from django.conf import settings
from django.db import IntegrityError, transaction

from paas.controller.models import App, Host, Instance, Stack, User
from paas.controller.queue import enqueue
from paas.controller.services import deployments, events, releases
from paas.controller.services.collaborators import check_administers
from paas.controller.services.locking import lock_app, lock_instances
from paas.controller.texts import storable
from paas.errors import InvalidParams

NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
# Names that would shadow the platform's own host names.
RESERVED = frozenset({"api", "git", "dashboard", "paas", "www", "localhost", "internal", "registry"})
ADJECTIVES = (
    "amber brave calm clear cosmic crisp eager fresh gentle golden happy hidden keen lively lucky mellow "
    "quiet rapid silent sunny swift tidy vivid warm"
).split()
NOUNS = (
    "breeze brook cedar cliff cloud comet dawn delta field forest harbor lake meadow mesa moon ocean "
    "orchard peak pine ridge river shore stone valley"
).split()


def make_name() -> str:
    """Return a name nobody has chosen, such as `calm-river-48213`."""
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}-{secrets.randbelow(90000) + 10000}"


def check_name(name: str) -> str:
    """Return `name` if an app can have it. Raises InvalidParams saying what a name looks like."""
    if not NAME.fullmatch(name) or "--" in name:
        raise InvalidParams(
            f"{name!r} cannot be an app's name: 3 to 30 characters, lower-case letters, digits and single dashes, "
            "starting with a letter and not ending with a dash."
        )
    if name in RESERVED:
        raise InvalidParams(f"The name {name} is reserved for the platform; choose another.")
    return name


def find_stack(name: str | None) -> Stack:
    """Return the stack by name, or the default one. Raises InvalidParams listing what there is."""
    stacks = Stack.objects.all()
    stack = stacks.filter(name=storable(name)).first() if name else stacks.filter(is_default=True).first()
    if stack is None:
        there = ", ".join(stacks.order_by("name").values_list("name", flat=True)) or "none yet"
        raise InvalidParams(f"There is no stack {name or '(default)'}; there is: {there}.")
    return stack


def create_app(user: User, name: str | None, stack: str | None = None) -> App:
    """Create an app with v1. Raises InvalidParams for a name that is bad or taken."""
    chosen = check_name(name) if name else make_name()
    stack_name = find_stack(stack).name
    try:
        with transaction.atomic():
            app = App.objects.create(name=chosen, owner=user, stack=stack_name)
            releases.initial_release(user, app)
            events.record(user, "app.create", app.id, app, name=chosen)
    except IntegrityError as error:
        raise InvalidParams(f"Name {chosen} is already taken; choose another.", app=chosen) from error
    return app


def rename_app(user: User, app: App, name: str) -> App:
    """Rename an app; its host name follows at once, its repository and id stay. Its owner or an admin may."""
    check_name(name)
    try:
        with transaction.atomic():
            app = lock_app(app.id)
            check_administers(user, app, "rename it")
            old, app.name = app.name, name
            app.save(update_fields=["name", "updated_at"])
            deployments.touch_hosts(Host.objects.values_list("id", flat=True))  # names inside follow too
            deployments.bump_routes()
            events.record(user, "app.rename", app.id, app, old=old, new=name)
    except IntegrityError as error:
        raise InvalidParams(f"Name {name} is already taken; choose another.", app=name) from error
    return app


@transaction.atomic
def set_maintenance(user: User, app: App, on: bool) -> App:
    """Switch the maintenance page on or off. Instances keep running."""
    app = lock_app(app.id)
    if app.maintenance != on:
        app.maintenance = on
        app.save(update_fields=["maintenance", "updated_at"])
        deployments.bump_routes()
        events.record(user, "app.maintenance", app.id, app, on=on)
    return app


@transaction.atomic
def set_stack(user: User, app: App, name: str) -> App:
    """Choose the stack of the next build."""
    app = lock_app(app.id)
    app.stack = find_stack(name).name
    app.save(update_fields=["stack", "updated_at"])
    events.record(user, "app.stack", app.id, app, stack=name)
    enqueue("caches.drop_caches", str(app.id))
    return app


@transaction.atomic
def destroy_app(user: User, app: App) -> None:
    """Delete an app with everything of it. Only its owner or an admin may."""
    app = lock_app(app.id)
    check_administers(user, app, "destroy it")
    app_id, name = app.id, app.name
    instances = Instance.objects.filter(app=app)
    deployments.touch_hosts(instances.values_list("host_id", flat=True))
    lock_instances(instances)
    events.record(user, "app.destroy", app_id, app, name=name)
    for build in app.builds.filter(status__in=["pending", "building"]):
        enqueue("builds.stop_job", str(build.id), str(build.host_id or ""))
    for one_off in app.one_offs.filter(finished_at__isnull=True):
        enqueue("builds.stop_job", str(one_off.id), str(one_off.host_id))
    App.objects.filter(id=app_id).update(current_release=None)
    app.delete()
    deployments.bump_routes()
    enqueue("housekeeping.forget_app", str(app_id))
    enqueue("caches.drop_caches", str(app_id))


def repository_path(app: App) -> str:
    """Return where the app's bare repository is. By id: renames and path tricks do not reach it."""
    return f"{settings.PAAS.home}/repos/{app.id}.git"
