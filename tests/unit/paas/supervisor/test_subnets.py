"""Which addresses an installation's containers get, beside others on one machine."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.supervisor import subnets

pytestmark = pytest.mark.unit
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
v1\t0500C80A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""


def test_routes_are_read_and_the_default_route_is_none() -> None:
    assert subnets.parse_routes(ROUTES) == [IPv4Network("192.168.2.0/24"), IPv4Network("10.200.0.5/32")]


def test_the_tag_fits_into_an_interface_name_and_differs_by_folder() -> None:
    assert subnets.tag(Path("/var/lib/paas")) != subnets.tag(Path("/tmp/paas"))
    assert len(subnets.tag(Path("/var/lib/paas"))) <= 8


@given(st.lists(st.sampled_from(list(subnets.candidates(Path("/a")))), max_size=40))
def test_what_is_chosen_overlaps_nothing_that_is_taken(taken: list[IPv4Network]) -> None:
    chosen = subnets.choose(Path("/a"), taken[:20], taken[20:])
    assert not any(chosen.overlaps(other) for other in taken)
    assert chosen.prefixlen == subnets.PREFIX


def test_a_full_machine_is_said_in_words() -> None:
    with pytest.raises(subnets.NoSubnet, match="PAAS_AGENT_SUBNET"):
        subnets.choose(Path("/a"), [], subnets.POOLS)
