"""Networks: made, joined, left, destroyed.

In: names, apps, who does it.  Out: rows, events, and a new wanted state for every host; nothing is restarted.

Like egress rules they belong to apps and not to releases: a rollback neither joins nor leaves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db import IntegrityError, transaction

from paas.controller.models import App, Host, Network, NetworkMember, User
from paas.controller.selectors.networks import foreign_apps
from paas.controller.services import deployments, events
from paas.controller.services.locking import lock_app
from paas.errors import Conflict, Forbidden, InvalidParams, NotFound

NAME = re.compile(r"[a-z][a-z0-9-]{0,28}[a-z0-9]")
ALIAS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_ALIASES = 10


def create_network(user: User, name: str, internal: bool = False) -> Network:
    """Make a network without members. Raises InvalidParams for a bad name, or one that is taken."""
    name = name.strip().lower()
    if not NAME.fullmatch(name):
        raise InvalidParams(
            f"{name!r} is no name for a network: take 2 to 30 small letters, digits and dashes, a letter first."
        )
    try:
        with transaction.atomic():
            if App.objects.filter(name=name).exists():
                raise InvalidParams(f"{name} is an app; {name}.internal cannot be a network as well.")
            network = Network.objects.create(name=name, owner=user, internal=internal)
            events.record(user, "network.create", network.id, name=name, internal=internal)
    except IntegrityError as error:
        raise InvalidParams(f"There is a network {name} already; choose another name.") from error
    return network


@transaction.atomic
def destroy_network(user: User, network: Network) -> Network:
    """Delete a network that has no members. Raises Conflict naming those that it has."""
    network = _lock(network)
    if not (user.is_admin or network.owner_id == user.id):
        raise Forbidden(f"Only who made {network.name} ({network.owner.email}) or an admin can destroy it.")
    members = sorted(network.members.values_list("app__name", flat=True))
    if members:
        raise Conflict(
            f"The network {network.name} has members: {', '.join(members)}. "
            f"Let them leave first: paas networks:leave {network.name} -a APP.",
            resource="network",
        )
    events.record(user, "network.destroy", network.id, name=network.name)
    network_id = network.id
    network.delete()
    network.id = network_id
    return network


@transaction.atomic
def join_network(user: User, network: Network, app: App, aliases: Sequence[str] = ()) -> NetworkMember:
    """Let an app reach the members, and them the app. Again with other aliases: it gets those.

    Only for who may work on every app that is in: joining opens them all to the new one.
    """
    names = _read_aliases(aliases)
    app, network = lock_app(app.id), _lock(network)
    others = foreign_apps(user, network)
    if others:
        raise Forbidden(
            f"The network {network.name} reaches apps that you do not work on; "
            "somebody who works on all of them must let yours in."
        )
    member = NetworkMember.objects.filter(network=network, app=app).first()
    if member is not None and member.aliases == names:
        return member
    if member is None:
        member = NetworkMember(network=network, app=app)
    member.aliases = names
    member.save()
    events.record(user, "network.join", network.id, app, name=network.name, aliases=names)
    _tell_hosts()
    return member


@transaction.atomic
def leave_network(user: User, network: Network, app: App) -> NetworkMember:
    """Cut an app off from the members. Whoever works on the app may."""
    app, network = lock_app(app.id), _lock(network)
    member = NetworkMember.objects.filter(network=network, app=app).first()
    if member is None:
        raise NotFound(f"{app.name} is not in the network {network.name}.", resource="network")
    member_id = member.id
    member.delete()
    member.id = member_id
    events.record(user, "network.leave", network.id, app, name=network.name)
    _tell_hosts()
    return member


def _read_aliases(texts: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(text.strip().lower() for text in texts))
    for name in names:
        if not ALIAS.fullmatch(name):
            raise InvalidParams(f"{name!r} cannot be an alias: take small letters, digits and dashes.")
    if len(names) > MAX_ALIASES:
        raise InvalidParams(f"{len(names)} aliases are more than the {MAX_ALIASES} that an app can have.")
    return names


def _lock(network: Network) -> Network:
    """Return the network locked; after the app, before hosts."""
    found = Network.objects.select_for_update(no_key=True).filter(id=network.id).first()
    if found is None:
        raise NotFound("That network has been destroyed.", resource="network")
    return found


def _tell_hosts() -> None:
    deployments.touch_hosts(Host.objects.values_list("id", flat=True))
