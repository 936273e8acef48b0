"""Containers of one app on two hosts talk, by plain routes and by VXLAN; another app's do not, nor does a forger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runtime.network.overlay import mac_of

sys.path.insert(0, str(Path(__file__).parent))

import forgery
from two_hosts import SimulatedHost, eventually, two_hosts

pytestmark = pytest.mark.system
Hosts = tuple[SimulatedHost, SimulatedHost]


@pytest.fixture(scope="module", params=["routes", "vxlan"])
def hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    """App red on both hosts, app blue on both, each host knowing the other."""
    with two_hosts(request.param) as (one, two):
        one.add("a-red", "app-red", "web.1")
        one.add("a-blue", "app-blue", "web.1")
        two.add("b-red", "app-red", "web.2")
        two.add("b-blue", "app-blue", "worker.1")
        one.give()
        two.give()
        introduce(one, two)
        yield one, two


def introduce(one: SimulatedHost, two: SimulatedHost) -> None:
    members_one, members_two = one.members(), two.members()
    both = (one.peer, two.peer)
    one.give(both, members_two, network=4711)
    two.give(both, members_one, network=4711)
    eventually(lambda: len(shown(one)) + len(shown(two)) == 2, 10, one.log + two.log)
    assert one.client.report().network.problem == ""


def shown(host: SimulatedHost) -> list[str]:
    """The routes to peers that this host has."""
    return [line for line in host.inside("ip", "route").splitlines() if "proto 117" in line]


def connects(host: SimulatedHost, id: str, address: str) -> str:
    return host.ask(id, "connect", address, "8000")


def test_the_same_app_talks_both_ways_by_its_own_addresses(hosts: Hosts) -> None:
    one, two = hosts
    here, there = one.addresses(), two.addresses()
    assert connects(one, "a-red", there["b-red"]) == f"open {here['a-red']}"
    assert connects(two, "b-red", here["a-red"]) == f"open {there['b-red']}"
    assert connects(two, "b-blue", here["a-blue"]) == f"open {there['b-blue']}"
    assert one.ask("a-red", "load", there["b-red"], "3000000").split()[0] == "3000000"


def test_another_app_does_not(hosts: Hosts) -> None:
    one, two = hosts
    here, there = one.addresses(), two.addresses()
    assert connects(one, "a-blue", there["b-red"]) != f"open {here['a-blue']}"
    assert "open" not in connects(one, "a-blue", there["b-red"])
    assert "open" not in connects(two, "b-red", here["a-blue"])


def test_containers_do_not_reach_the_other_host_itself(hosts: Hosts) -> None:
    one, two = hosts
    port = (two.home / "agent" / "address").read_text().rpartition(":")[2]
    for address in (two.underlay, two.subnet.split("/")[0]):
        assert "open" not in one.ask("a-red", "connect", address, port)


def test_a_host_reaches_the_others_containers(hosts: Hosts) -> None:
    """As its router must."""
    one, two = hosts
    url = f"http://{two.addresses()['b-red']}:8000/who"
    script = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=5).read().decode())"
    seen = one.inside("/usr/bin/python3", "-c", script).strip()
    assert seen == (one.underlay if one.overlay == "routes" else one.subnet.split("/")[0])


def test_the_network_is_mended_and_survives_a_killed_agent(hosts: Hosts) -> None:
    one, two = hosts
    there = two.addresses()["b-red"]
    one.inside("ip", "route", "del", two.subnet)
    assert "open" not in connects(one, "a-red", there)
    one.kill()
    one.start()
    eventually(lambda: shown(one), 10, one.log)
    assert "open" in connects(one, "a-red", there)
    assert "open" not in connects(one, "a-blue", there)
    before = one.inside("ip", "route"), one.inside("nft", "list", "ruleset")
    one.give((one.peer, two.peer), two.members(), network=4711)
    eventually(lambda: one.client.report().generation == one.generation)
    assert (one.inside("ip", "route"), one.inside("nft", "list", "ruleset")) == before


def test_a_member_that_left_and_a_peer_that_was_removed_are_cut_off_live(hosts: Hosts) -> None:
    one, two = hosts
    there, here = two.addresses()["b-red"], one.addresses()["a-red"]
    runs = one.client.report().instances
    one.give((two.peer,), (), network=4711)
    eventually(lambda: "open" not in connects(one, "a-red", there), 5)
    one.give((), ())
    eventually(lambda: not shown(one), 5, one.log)
    links = one.inside("ip", "-o", "link")
    assert "vxlan" not in links and ": x" not in links
    assert "open" not in connects(two, "b-red", here)
    introduce(one, two)
    eventually(lambda: "open" in connects(one, "a-red", there), 5)
    assert "open" in connects(two, "b-red", here)
    after = {one.id: (one.started_at, one.restarts) for one in one.client.report().instances}
    assert after == {one.id: (one.started_at, one.restarts) for one in runs}


def test_names_lead_to_healthy_instances_here_and_there(hosts: Hosts) -> None:
    one, two = hosts
    both = sorted((one.addresses()["a-red"], two.addresses()["b-red"]))
    apps = {"app-red": "red", "app-blue": "blue"}
    one.give((one.peer, two.peer), two.members(), network=4711, apps=apps)
    eventually(lambda: one.ask("a-red", "resolve", "web.red.internal") == " ".join(both), 5)
    assert one.ask("a-red", "resolve", "red.internal") == " ".join(both)
    assert one.ask("a-red", "resolve", "web.2.red.internal") == two.addresses()["b-red"]
    assert one.ask("a-blue", "resolve", "worker.blue.internal") == two.addresses()["b-blue"]
    assert one.ask("a-red", "resolve", "web.blue.internal") == "gaierror"
    assert one.ask("a-blue", "resolve", "red.internal") == "gaierror"
    assert one.ask("a-red", "connect", "web.2.red.internal", "8000").startswith("open")
    ill = tuple(msgspec.structs.replace(member, up=False) for member in two.members())
    one.give((one.peer, two.peer), ill, network=4711, apps=apps)
    own = one.addresses()["a-red"]
    eventually(lambda: one.ask("a-red", "resolve", "web.red.internal") == own, 2)
    one.give((one.peer, two.peer), two.members(), network=4711, apps=apps, leaving=("a-red",))
    there = two.addresses()["b-red"]
    eventually(lambda: one.ask("a-red", "resolve", "web.red.internal") == there, 2)


@pytest.mark.alone
def test_an_instance_that_fails_leaves_its_names_within_a_second(hosts: Hosts) -> None:
    one, _ = hosts
    one.add("a-red-2", "app-red", "web.3")
    one.give()
    alive = one.addresses()
    both = " ".join(sorted((alive["a-red"], alive["a-red-2"])))
    assert one.ask("a-red", "resolve", "web.app-red.internal") == both
    assert one.ask("a-red-2", "sick") == "yes"
    eventually(lambda: one.ask("a-red", "resolve", "web.app-red.internal") == alive["a-red"], 1.5)
    one.instances.pop()


def test_forged_sources_do_not_get_in(hosts: Hosts) -> None:
    one, two = hosts
    introduce(one, two)
    here, there = one.addresses(), two.addresses()
    forgery.spy(two, there["b-red"])

    def send(source: str) -> None:
        packet = forgery.packet(source, there["b-red"])
        one.inside("/usr/bin/python3", "-c", forgery.SEND, packet.hex(), there["b-red"])

    for source in (here["a-blue"], there["b-blue"], there["b-red"], "203.0.113.5", "169.254.1.1"):
        send(source)
    send(here["a-red"])  # the only one that belongs to the app; packets are not overtaken
    eventually(lambda: forgery.seen(two) > 0, 5)
    assert forgery.seen(two) == 1


@pytest.mark.parametrize("hosts", ["vxlan"], indirect=True)
def test_only_peers_may_send_vxlan(hosts: Hosts) -> None:
    one, two = hosts
    here, there = one.addresses(), two.addresses()
    forgery.spy(two, there["b-red"])
    inner = forgery.packet(here["a-red"], there["b-red"])
    macs = mac_of(two.underlay), mac_of(one.underlay)
    stranger = one.underlay.rpartition(".")[0] + ".1"

    def send(source: str, *way: str) -> None:
        packet = forgery.in_vxlan(inner, source, two.underlay, macs, 4711)
        words = [*way, "/usr/bin/python3", "-c", forgery.SEND, packet.hex(), two.underlay]
        subprocess.run(words, check=True, timeout=20)

    send(stranger)
    send(one.underlay, "nsenter", f"--net=/run/netns/{one.namespace}")
    eventually(lambda: forgery.seen(two) > 0, 5)
    assert forgery.seen(two) == 1
