"""Hosts learn of each other, of each other's instances and of the names of apps, and hear of changes at once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from paas.controller.models import Instance, User
from paas.controller.selectors.wanted import network_number, wanted_state
from runtime.model import HostNetwork, InstanceState, Peer
from tests.integration.controller.crowd import fill
from tests.integration.controller.machines import Agent, Worker

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ONE = HostNetwork(subnet="10.1.0.0/20", underlay="192.0.2.1", public_key="a2V5")
TWO = HostNetwork(subnet="10.1.16.0/20", underlay="192.0.2.2")


def tell(agent: Agent, network: HostNetwork) -> None:
    agent.tell(msgspec.structs.replace(agent.report(), network=network))


def test_a_host_alone_has_no_peers(user: User, make_host: Callable[..., Agent], worker: Worker) -> None:
    one = make_host()
    fill(user, one.host, 1)
    tell(one, ONE)
    worker.drain()
    wanted = wanted_state(one.host.id)
    assert (wanted.peers, wanted.members) == ((), ())
    assert list(wanted.apps.values()) == ["app-0"]
    assert wanted.generation == 0


def test_hosts_learn_where_the_others_are(make_host: Callable[..., Agent], worker: Worker) -> None:
    one, two = make_host("one"), make_host("two")
    tell(one, ONE)
    tell(two, TWO)
    worker.drain()
    assert wanted_state(two.host.id).peers == (
        Peer(host="one", address="192.0.2.1", subnet="10.1.0.0/20", public_key="a2V5"),
    )
    assert [peer.host for peer in wanted_state(one.host.id).peers] == ["two"]
    assert one.generation > 0
    before = two.generation
    tell(one, ONE)  # nothing new
    worker.drain()
    assert two.generation == before
    tell(one, msgspec.structs.replace(ONE, underlay="192.0.2.9"))
    worker.drain()
    assert two.generation > before
    assert wanted_state(two.host.id).peers[0].address == "192.0.2.9"


def test_instances_elsewhere_are_members_up_while_they_serve(
    user: User, make_host: Callable[..., Agent], worker: Worker
) -> None:
    one, two = make_host("one"), make_host("two")
    app, *_ = fill(user, one.host, 1)
    tell(one, ONE)
    tell(two, TWO)
    worker.drain()
    Instance.objects.update(state=InstanceState.STARTING, address="", wanted=Instance.Wanted.RUN)
    first = Instance.objects.order_by("created_at")[0]
    before = two.generation
    one.set(str(first.id), InstanceState.UP, address="10.1.0.1")
    tell(one, ONE)
    worker.drain()
    assert two.generation > before
    (member,) = wanted_state(two.host.id).members
    assert (member.owner, member.address, member.name, member.up) == (
        str(app.id),
        "10.1.0.1",
        first.name,
        True,
    )
    assert wanted_state(one.host.id).members == ()
    Instance.objects.filter(id=first.id).update(wanted=Instance.Wanted.DRAIN)
    assert not wanted_state(two.host.id).members[0].up
    assert wanted_state(one.host.id).leaving == (str(first.id),)


def test_the_network_has_a_number_that_fits() -> None:
    numbers = {network_number(f"paas{n}.example") for n in range(100)}
    assert len(numbers) > 95
    assert all(0 < number < 2**24 for number in numbers)
