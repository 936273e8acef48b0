"""Reading networks. `access_network` fetches and authorises in one step.

In: who asks, and a name or id.  Out: rows that the asker may see.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from paas.controller.models import Network, NetworkMember, User
from paas.controller.selectors.apps import visible_apps
from paas.controller.texts import storable
from paas.errors import NotFound


def visible_networks(user: User) -> QuerySet[Network]:
    """Return the networks that `user` made, and those that an app is in which `user` may work on."""
    networks = Network.objects.select_related("owner").prefetch_related("members__app").order_by("name")
    if not user.is_active:
        return networks.none()
    if user.is_admin:
        return networks
    own_apps = visible_apps(user).order_by().values("id")
    joined = NetworkMember.objects.filter(app_id__in=own_apps).values("network_id")
    return networks.filter(Q(owner=user) | Q(id__in=joined))


def access_network(user: User, name_or_id: str) -> Network:
    """Return the network. Raises NotFound alike for one that does not exist and one of somebody else."""
    try:
        identity = Q(id=UUID(name_or_id))
    except ValueError:
        identity = Q(name=storable(name_or_id).lower())
    network = visible_networks(user).filter(identity).first()
    if network is None:
        raise NotFound("Couldn't find that network.", resource="network")
    return network


def foreign_apps(user: User, network: Network) -> list[str]:
    """Return the names of member apps that `user` may not work on."""
    return sorted(
        NetworkMember.objects.filter(network=network)
        .exclude(app_id__in=visible_apps(user).order_by().values("id"))
        .values_list("app__name", flat=True)
    )


def aliases(member: NetworkMember) -> tuple[str, ...]:
    """Return the names of an app in a network: those it joined with, else its own."""
    return tuple(member.aliases) or (member.app.name,)
