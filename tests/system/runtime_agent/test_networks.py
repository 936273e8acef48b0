"""Networks that apps join and leave while they run, egress rules and names, on two hosts with real agents."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runtime.model import Egress, Network, NetworkMember, parse_egress_rule
from runtime.network.rules import names_of

sys.path.insert(0, str(Path(__file__).parent))

from two_hosts import SimulatedHost, eventually, two_hosts

pytestmark = pytest.mark.system
Hosts = tuple[SimulatedHost, SimulatedHost]
APPS = {"app-red": "red", "app-blue": "blue", "app-green": "green"}
MOMENT = 2.0  # seconds until a change must show; what is measured here is that it shows at all


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Red on both hosts, blue on the first, green on the second."""
    with two_hosts("vxlan") as (one, two):
        one.add("a-red", "app-red", "web.1")
        one.add("a-blue", "app-blue", "web.1")
        two.add("b-red", "app-red", "web.2")
        two.add("b-green", "app-green", "web.1")
        one.give()
        two.give()
        tell((one, two))
        eventually(lambda: "open" in connect(one, "a-red", two, "b-red"), 10, one.log + two.log)
        yield one, two


@pytest.fixture(autouse=True)
def apart(hosts: Hosts) -> Iterator[None]:
    runs = started(hosts)
    yield
    tell(hosts)
    assert started(hosts) == runs, "nothing was started anew"


def tell(hosts: Hosts, *networks: Network, **more: object) -> None:
    one, two = hosts
    members = one.members(), two.members()
    for host, others in ((one, members[1]), (two, members[0])):
        host.give((one.peer, two.peer), others, network=4712, apps=APPS, networks=networks, **more)


def network(name: str, *members: str, internal: bool = False) -> Network:
    """Members as `app` or `app=alias`."""
    pairs = [member.partition("=")[::2] for member in members]
    joined = tuple(
        NetworkMember(owner=f"app-{app}", aliases=(alias,) if alias else ()) for app, alias in pairs
    )
    return Network(name=name, internal=internal, members=joined)


def started(hosts: Hosts) -> dict[str, tuple[int, str]]:
    return {one.id: (one.restarts, one.address) for host in hosts for one in host.client.report().instances}


def connect(host: SimulatedHost, id: str, other: SimulatedHost, target: str) -> str:
    return host.ask(id, "connect", other.addresses()[target], "8000")


def test_apps_reach_each_other_in_a_network_they_share_and_nowhere_else(hosts: Hosts) -> None:
    one, two = hosts
    assert "open" not in connect(one, "a-blue", two, "b-green")
    assert "open" not in connect(one, "a-blue", one, "a-red")
    tell(hosts, network("back", "blue", "green"), network("side", "blue", "red"))
    eventually(lambda: "open" in connect(one, "a-blue", two, "b-green"), MOMENT)
    eventually(lambda: "open" in connect(one, "a-blue", one, "a-red"), MOMENT)
    eventually(lambda: "open" in connect(one, "a-blue", two, "b-red"), MOMENT)
    eventually(lambda: "open" in connect(two, "b-green", one, "a-blue"), MOMENT)
    eventually(lambda: "open" in connect(two, "b-red", one, "a-blue"), MOMENT)
    assert "open" not in connect(one, "a-red", two, "b-green")
    assert "open" not in connect(two, "b-green", two, "b-red")
    assert one.ask("a-blue", "hold", two.addresses()["b-green"], "8000") == "open"
    tell(hosts, network("side", "blue", "red"))
    eventually(lambda: "open" not in connect(one, "a-blue", two, "b-green"), MOMENT)
    assert one.ask("a-blue", "held") != "open", "a connection that is open is cut too"
    assert "open" in connect(one, "a-blue", two, "b-red")


def test_a_network_outlives_a_killed_agent(hosts: Hosts) -> None:
    one, two = hosts
    tell(hosts, network("back", "blue", "green"))
    eventually(lambda: "open" in connect(one, "a-blue", two, "b-green"), MOMENT)
    one.kill()
    one.start()
    assert "open" in connect(one, "a-blue", two, "b-green")
    assert "open" in connect(two, "b-green", one, "a-blue")
    assert "open" not in connect(two, "b-green", one, "a-red")


def test_names_lead_to_members_only(hosts: Hosts) -> None:
    one, two = hosts
    red = " ".join(sorted((one.addresses()["a-red"], two.addresses()["b-red"])))
    green = two.addresses()["b-green"]
    tell(hosts, network("back", "blue", "green=store"), network("side", "blue", "red=cache"))
    eventually(lambda: one.ask("a-blue", "resolve", "store.back.internal") == green, MOMENT)
    assert one.ask("a-blue", "resolve", "web.store.back.internal") == green
    assert one.ask("a-blue", "resolve", "web.green.internal") == green
    assert one.ask("a-blue", "resolve", "cache.side.internal") == red
    assert one.ask("a-blue", "resolve", "web.2.red.internal") == two.addresses()["b-red"]
    for name in ("store.back.internal", "green.internal", "cache.back.internal", "worker.blue.internal"):
        assert one.ask("a-red", "resolve", name) == "gaierror"
    assert two.ask("b-green", "resolve", "blue.internal") == one.addresses()["a-blue"]
    tell(hosts, network("side", "blue", "red=cache"))
    eventually(lambda: one.ask("a-blue", "resolve", "store.back.internal") == "gaierror", MOMENT)


def test_names_follow_health_on_the_other_host(hosts: Hosts) -> None:
    """Exactly the healthy addresses, as soon as this host is told; its own are looked at for each question."""
    one, two = hosts
    shared = network("side", "blue", "red=cache")
    tell(hosts, shared)
    here, there = one.addresses()["a-red"], two.addresses()["b-red"]
    for up in (False, True, False, True):
        members = tuple(msgspec.structs.replace(member, up=up) for member in two.members())
        one.give((one.peer, two.peer), members, network=4712, apps=APPS, networks=(shared,))
        exact = " ".join(sorted((here, there))) if up else here
        eventually(lambda exact=exact: one.ask("a-blue", "resolve", "cache.side.internal") == exact, MOMENT)


def test_members_of_an_internal_network_reach_peers_and_nothing_outside(hosts: Hosts) -> None:
    one, two = hosts
    with socket.create_server((one.underlay.rpartition(".")[0] + ".1", 0)) as listener:
        outside = [str(word) for word in listener.getsockname()]
        assert "open" in one.ask("a-blue", "connect", *outside)
        tell(hosts, network("vault", "blue", "green", internal=True))
        eventually(lambda: one.ask("a-blue", "connect", *outside) == "ConnectionRefusedError", MOMENT)
        eventually(lambda: "open" in connect(one, "a-blue", two, "b-green"), MOMENT)
        assert "open" in one.ask("a-red", "connect", *outside)
        tell(hosts)
        eventually(lambda: "open" in one.ask("a-blue", "connect", *outside), MOMENT)


def test_a_refusal_is_told_in_the_log_and_as_an_event(hosts: Hosts) -> None:
    one, two = hosts
    with socket.create_server((one.underlay.rpartition(".")[0] + ".1", 0)) as listener:
        target, port = listener.getsockname()
        tell(hosts, egress={"app-red": Egress(rules=(parse_egress_rule("192.0.2.1"),))})
        refused = lambda: one.ask("a-red", "connect", target, str(port)) == "ConnectionRefusedError"  # noqa: E731
        eventually(refused, MOMENT)
    assert "open" in connect(one, "a-red", two, "b-red")
    told = f"Egress rules refused {target}:{port}/tcp"

    def event() -> bool:
        return any(
            found.kind == "refused" and found.container == "a-red" and found.message.startswith(told)
            for found in one.client.events(0).events
        )

    eventually(event, 15, one.log)
    lines = [line.text for line in one.client.logs("a-red", follow=False)]
    assert [line for line in lines if line.startswith(told)]


def test_a_megabyte_crosses_the_overlay_in_whole_packets(hosts: Hosts) -> None:
    """N7: the LAN carries 1500 bytes; what is wrapped must fit, so that nothing is cut to pieces and lost."""
    one, two = hosts
    assert json.loads(one.inside("ip", "-j", "link", "show", "eth0"))[0]["mtu"] == 1500
    tunnel = json.loads(one.inside("ip", "-j", "link", "show", names_of(one.tag).vxlan))[0]
    assert tunnel["mtu"] == 1450
    before = fragments(one), fragments(two)
    for host, id, other, target in ((one, "a-red", two, "b-red"), (two, "b-red", one, "a-red")):
        got = host.ask(id, "load", other.addresses()[target], str(2**20))
        assert got.split()[0] == str(2**20)
    assert (fragments(one), fragments(two)) == before


def fragments(host: SimulatedHost) -> dict[str, int]:
    """Counters of IP fragments made, wanted, put together and failed (proc_net_snmp(5))."""
    names, values = [
        line.split()[1:]
        for line in host.inside("cat", "/proc/net/snmp").splitlines()
        if line.startswith("Ip:")
    ]
    counters = dict(zip(names, map(int, values), strict=True))
    return {name: counters[name] for name in ("FragCreates", "FragFails", "ReasmReqds", "ReasmFails")}


def test_flows_go_on_while_nobody_is_in_control(hosts: Hosts) -> None:
    """N8, DK1: no controller here ever; now both agents die. Then one comes back, and it still goes on."""
    one, two = hosts
    tell(hosts, network("back", "blue", "green"))
    there = two.addresses()
    eventually(lambda: "open" in connect(one, "a-blue", two, "b-green"), MOMENT)
    assert one.ask("a-red", "hold", there["b-red"], "8000") == "open"
    assert one.ask("a-blue", "hold", there["b-green"], "8000") == "open"
    ask = {id: one.asker(id) for id in ("a-red", "a-blue")}
    one.kill()
    two.kill()
    assert ask["a-red"]("held") == ask["a-blue"]("held") == "open"
    assert ask["a-red"]("connect", there["b-red"], "8000").startswith("open"), "new ones as well"
    two.start()
    assert ask["a-red"]("held") == ask["a-blue"]("held") == "open"
    assert ask["a-red"]("connect", there["b-red"], "8000").startswith("open")
    one.start()
    assert ask["a-red"]("held") == ask["a-blue"]("held") == "open"
    eventually(lambda: one.ask("a-red", "connect", "web.2.red.internal", "8000").startswith("open"), 10)
