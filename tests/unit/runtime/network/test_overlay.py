"""Which way leads to which peer, and what is refused."""

from __future__ import annotations

import ipaddress

import pytest

from runtime.model import Peer
from runtime.network import overlay, rules, wireguard
from runtime.network.overlay import Here, Mode, Subnets, plan

pytestmark = pytest.mark.unit

NAMES = rules.names_of("x1")
HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
ROUTES = (
    HEADER
    + "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"  # default via 192.168.0.1
    + "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"  # 192.168.0.0/24
)
HERE = Here(underlay="192.168.0.2", subnet="10.1.0.0/24", routes=ROUTES, wireguard=False)
NEAR = Peer(host="near", address="192.168.0.3", subnet="10.2.0.0/24", public_key="bmVhcg==")
FAR = Peer(host="far", address="203.0.113.9", subnet="10.3.0.0/24", public_key="ZmFy")
SELF = Peer(host="self", address="192.168.0.2", subnet="10.1.0.0/24")


def test_the_longest_prefix_says_the_way() -> None:
    assert overlay.route_to(ROUTES, "192.168.0.77") == ("eth0", True)
    assert overlay.route_to(ROUTES, "203.0.113.9") == ("eth0", False)
    assert overlay.route_to(HEADER, "203.0.113.9") == ("", False)


def test_auto_takes_routes_on_the_lan_and_a_tunnel_beyond() -> None:
    found = plan(Mode.AUTO, (SELF, NEAR, FAR), HERE, NAMES)
    assert found.problems == ()
    assert [(way.host, way.by, way.interface) for way in found.ways] == [
        ("near", Mode.ROUTES, "eth0"),
        ("far", Mode.VXLAN, NAMES.vxlan),
    ]
    keyed = Here(underlay=HERE.underlay, subnet=HERE.subnet, routes=ROUTES, wireguard=True)
    assert plan(Mode.AUTO, (FAR,), keyed, NAMES).ways[0].by is Mode.WIREGUARD


def test_one_bad_peer_does_not_keep_the_others_out() -> None:
    bad = (
        Peer(host="twin", address="192.168.0.4", subnet="10.2.0.128/25"),
        Peer(host="mine", address="192.168.0.5", subnet="10.1.0.0/16"),
        Peer(host="all", address="192.168.0.6", subnet="0.0.0.0/0"),
        Peer(host="odd", address="192.168.0.7", subnet="10.9.0.1/24"),
        Peer(host="loop", address="10.8.0.7", subnet="10.8.0.0/24"),
    )
    found = plan(Mode.VXLAN, (NEAR, *bad, FAR), HERE, NAMES)
    assert [way.host for way in found.ways] == ["near", "far"]
    assert [problem.split(" cannot")[0].split(" share")[0] for problem in found.problems] == [
        "Hosts near and twin",
        "Hosts this host and mine",
        "Host all",
        "Host odd",
        "Host loop",
    ]


def test_routes_need_a_lan_and_wireguard_a_key() -> None:
    assert "far (203.0.113.9) is not on this host's LAN" in plan(Mode.ROUTES, (FAR,), HERE, NAMES).problems[0]
    keyless = Peer(host="k", address="203.0.113.9", subnet="10.3.0.0/24")
    assert "no WireGuard key" in plan(Mode.WIREGUARD, (keyless,), HERE, NAMES).problems[0]


def test_nothing_is_wired_without_peers_or_when_told_so() -> None:
    assert plan(Mode.NONE, (NEAR,), HERE, NAMES).ways == ()
    assert plan(Mode.AUTO, (SELF,), HERE, NAMES).ways == ()
    homeless = Here(underlay="", subnet="10.1.0.0/24", routes=HEADER, wireguard=False)
    assert "PAAS_AGENT_UNDERLAY" in plan(Mode.AUTO, (NEAR,), homeless, NAMES).problems[0]


def test_only_containers_of_peers_are_members() -> None:
    subnets = Subnets(plan(Mode.VXLAN, (NEAR, FAR), HERE, NAMES).ways)
    assert subnets.has_container("10.2.0.1")
    assert subnets.has_container("10.3.0.255")
    for stranger in ("10.2.0.0", "10.1.0.5", "10.2.1.0", "9.9.9.9", "nonsense", "::1", ""):
        assert not subnets.has_container(stranger)


def test_the_firewall_lets_each_peer_in_by_its_own_way() -> None:
    ways = plan(Mode.AUTO, (NEAR, FAR), HERE, NAMES).ways
    near, far = overlay.neighbours(ways)
    assert (near.interface, near.source) == ("eth0", "192.168.0.3")
    assert (far.interface, far.source, far.underlay) == (NAMES.vxlan, "10.3.0.0", "203.0.113.9")
    text = rules.render_neighbours(NAMES, (near, far), 7)
    assert (
        f'add element inet {NAMES.table} arrivals {{ "eth0" . 10.2.0.0/24, "{NAMES.vxlan}" . 10.3.0.0/24 }}'
        in text
    )
    assert "encapsulated @th,96,24 7 ip saddr != @underlays drop" in text
    assert "add" not in rules.render_neighbours(NAMES, (), 0)


def test_macs_are_local_and_differ() -> None:
    assert overlay.mac_of("10.0.0.1") == bytes((0x0A, 0x58)) + ipaddress.IPv4Address("10.0.0.1").packed


def test_wireguard_peers_are_bound_to_their_subnets() -> None:
    way = plan(Mode.WIREGUARD, (FAR,), HERE, NAMES).ways[0]
    text = wireguard.render("c2VjcmV0", (way,))
    assert "PrivateKey = c2VjcmV0\nListenPort = 51820" in text
    assert "PublicKey = ZmFy\nEndpoint = 203.0.113.9:51820\nAllowedIPs = 10.3.0.0/24" in text


def test_the_key_is_made_once_and_private(tmp_path) -> None:
    file = tmp_path / "wireguard.key"
    first = wireguard.public_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert wireguard.public_key(file) == first
    assert first not in file.read_text()
