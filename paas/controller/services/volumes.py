"""Volumes of apps: made, mounted, grown, copied and removed.

In: what a user wants.  Out: a volume on a host and its row; a release wherever a mount changes.

The host is asked first: a row never speaks of a volume that was not made. One that was made by a call that was cut
off is found again by its owner and name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from paas.controller.agents import agent
from paas.controller.models import App, Host, Release, User, Volume
from paas.controller.queue import enqueue
from paas.controller.selectors.planning import HOST_QUIET
from paas.controller.selectors.releases import newest_release
from paas.controller.selectors.volumes import Binding, bindings, bindings_of_app, home_of
from paas.controller.services import events
from paas.controller.services.bindings import check_bindings, parse_mount
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.errors import Conflict, InvalidParams, NotFound, PaasError, Unavailable
from runtime.client import AgentClient, AgentRefused, AgentUnavailable
from runtime.model import Snapshot, VolumeSpec, VolumeStatus

_ERRORS: dict[int, type[PaasError]] = {400: InvalidParams, 404: NotFound, 409: Conflict, 507: Unavailable}


def create_volume(
    user: User, app: App, name: str, size: int, mounts: Sequence[str] = (), source: str = ""
) -> Volume:
    """Make a volume on the host of the app's volumes, and mount it. Raises Conflict, InvalidParams, Unavailable."""
    if Volume.objects.filter(app=app, name=name).exists():
        raise Conflict(f"{app.name} has a volume named {name} already (or it is just being removed).")
    volume_id = uuid4()
    wanted = [parse_mount(text, str(volume_id), name) for text in mounts]
    _check_quantities(app, wanted)
    host = _host_for(app)
    spec = VolumeSpec(id=str(volume_id), owner=str(app.id), name=name, size_bytes=size, source=source)
    with _told():
        made = _make(agent(host), spec)
    with transaction.atomic():
        app = lock_app(app.id)
        try:
            volume = Volume.objects.create(
                id=UUID(made.id), app=app, host=host, name=name, size_bytes=made.size_bytes, source=source
            )
        except IntegrityError as error:
            raise Conflict(f"{app.name} has a volume named {name} already.") from error
        events.record(user, "volume.create", volume.id, app, name=name, size=made.size_bytes)
        if wanted:
            mine = [parse_mount(text, str(volume.id), name) for text in mounts]
            _release(user, app, [*bindings_of_app(app), *mine], f"Mount volume {name}")
    return volume


def set_mounts(user: User, volume: Volume, mounts: Sequence[str]) -> Release | None:
    """Mount a volume at these places and nowhere else, in one release. None: it is so already."""
    wanted = [parse_mount(text, str(volume.id), volume.name) for text in mounts]
    with transaction.atomic():
        app = lock_app(volume.app_id)
        before = bindings_of_app(app)
        after = [*(one for one in before if one.volume != str(volume.id)), *wanted]
        if set(after) == set(before):
            return None
        places = ", ".join(one.text for one in wanted)
        return _release(
            user, app, after, f"{'Mount' if places else 'Unmount'} volume {volume.name} {places}".strip()
        )


def resize(user: User, volume: Volume, size: int) -> Volume:
    """Let it hold more."""
    with _told():
        grown = agent(volume.host).grow_volume(str(volume.id), size)
    Volume.objects.filter(id=volume.id).update(size_bytes=grown.size_bytes, updated_at=timezone.now())
    events.record(user, "volume.resize", volume.id, volume.app, name=volume.name, size=grown.size_bytes)
    volume.refresh_from_db()
    return volume


def destroy(user: User, volume: Volume, *, force: bool = False) -> None:
    """Remove a volume and all that is in it. With `force` also one that is mounted: it is unmounted by a release."""
    with transaction.atomic():
        app = lock_app(volume.app_id)
        newest = newest_release(app)
        used = [
            one for one in (*bindings(newest), *bindings(app.current_release)) if one.volume == str(volume.id)
        ]
        if used and not force:
            raise Conflict(
                f"Volume {volume.name} is mounted at {used[0].text}; unmount it first, or force it. "
                "Destroying it cannot be undone."
            )
        Volume.objects.filter(id=volume.id).update(doomed=True, updated_at=timezone.now())
        left = [one for one in bindings(newest) if one.volume != str(volume.id)]
        if len(left) < len(bindings(newest)):
            _release(user, app, left, f"Unmount volume {volume.name}")
        events.record(user, "volume.destroy", volume.id, app, name=volume.name)
        enqueue("volumes.remove_volume", str(volume.id))


def status_of(volume: Volume) -> VolumeStatus | None:
    """Return what its host says of it, None while it does not answer."""
    try:
        return agent(volume.host).volume(str(volume.id))
    except (AgentUnavailable, AgentRefused):
        return None


def snapshots(volume: Volume) -> tuple[Snapshot, ...]:
    with _told():
        return agent(volume.host).volume_snapshots(str(volume.id))


def take_snapshot(user: User, volume: Volume, name: str) -> Snapshot:
    """Keep a volume as it is now, also while it is written to."""
    with _told():
        taken = agent(volume.host).snapshot_volume(str(volume.id), name or f"s{timezone.now():%Y%m%d-%H%M%S}")
    events.record(user, "volume.snapshot", volume.id, volume.app, name=volume.name, snapshot=taken.name)
    return taken


def remove_snapshot(user: User, volume: Volume, name: str) -> None:
    with _told():
        agent(volume.host).remove_snapshot(str(volume.id), name)
    events.record(user, "volume.snapshot_remove", volume.id, volume.app, name=volume.name, snapshot=name)


def restore(user: User, volume: Volume, snapshot: str) -> VolumeStatus:
    """Put it back to a snapshot. Raises Conflict while a process uses it."""
    with _told():
        restored = agent(volume.host).restore_volume(str(volume.id), snapshot)
    events.record(user, "volume.restore", volume.id, volume.app, name=volume.name, snapshot=snapshot)
    return restored


def remove_doomed(volume: Volume) -> bool:
    """Remove it from its host, then its row. False: somebody still uses it, or its host does not answer."""
    try:
        agent(volume.host).remove_volume(str(volume.id))
    except AgentUnavailable:
        return False
    except AgentRefused as error:
        if error.status != 404:
            return False
    Volume.objects.filter(id=volume.id, doomed=True).delete()
    return True


def _make(hosting: AgentClient, spec: VolumeSpec) -> VolumeStatus:
    """A volume of that name that no row knows is of a call that was cut off: it is this one."""
    try:
        return hosting.create_volume(spec)
    except AgentRefused as error:
        if error.id != "volume_exists":
            raise
        named = (one for one in hosting.volumes() if (one.owner, one.name) == (spec.owner, spec.name))
        left = next((one for one in named if not one.retained), None)
        if left is None or left.holders or Volume.objects.filter(id=UUID(left.id)).exists():
            raise
        return hosting.grow_volume(left.id, max(left.size_bytes, spec.size_bytes))


def _check_quantities(app: App, wanted: Sequence[Binding]) -> None:
    """What a release would refuse is refused before a volume is made."""
    base = newest_release(app)
    made_up = {one.volume for one in wanted}
    check_bindings(app, [*bindings(base), *wanted], base.formation if base else {}, made_up)


def _release(user: User, app: App, after: Sequence[Binding], description: str) -> Release:
    stored = [one.stored for one in after]
    return create_release(user, app, Release.Kind.VOLUMES, description, volumes=stored)


def _host_for(app: App) -> Host:
    """All volumes of an app are on one host, so that any process can have any of them."""
    home = home_of(app.id)
    hosts = Host.objects.filter(id=home) if home else Host.objects.filter(cordoned=False)
    host = hosts.filter(seen_at__gte=timezone.now() - HOST_QUIET).order_by("-memory_bytes", "name").first()
    if host is None:
        raise Unavailable(
            "No host that could keep the volume answers; look at `paas hosts`, or try again in a moment."
        )
    return host


@contextmanager
def _told() -> Iterator[None]:
    """What a host refuses is said in its words."""
    try:
        yield
    except AgentUnavailable as error:
        raise Unavailable("The host of this volume does not answer; try again in a moment.") from error
    except AgentRefused as error:
        raise _ERRORS.get(error.status, Unavailable)(error.message, id=error.id) from error
