"""Addresses and names of network slots, and the resolver's files."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.container.port import EngineError
from runtime.network import resolver
from runtime.network.pool import device_mtu, encode_name, fitting, missing, next_address, outgoing_mtu
from runtime.network.rtnetlink import attribute

pytestmark = pytest.mark.unit

SUBNET = ipaddress.IPv4Network("10.9.0.0/29")


def test_addresses_go_round_and_skip_used_ones() -> None:
    assert next_address(SUBNET, 0, set()) == (1, "10.9.0.1")
    assert next_address(SUBNET, 1, {"10.9.0.2"}) == (3, "10.9.0.3")
    assert next_address(SUBNET, 6, set()) == (1, "10.9.0.1")
    with pytest.raises(EngineError, match=r"Every address of 10.9.0.0/29"):
        next_address(SUBNET, 3, {f"10.9.0.{n}" for n in range(1, 7)})


@given(st.sets(st.integers(1, 6), max_size=5), st.integers(0, 6))
def test_a_given_address_is_free_and_in_the_subnet(used: set[int], last: int) -> None:
    taken = {f"10.9.0.{n}" for n in used}
    offset, address = next_address(SUBNET, last, taken)
    assert address not in taken
    assert address == str(SUBNET[offset])
    assert 1 <= offset <= 6


def test_slots_are_made_many_at_once_when_half_are_gone() -> None:
    assert [missing(16, there) for there in (16, 15, 9, 8, 1, 0)] == [0, 0, 0, 8, 15, 16]
    assert [missing(1, there) for there in (1, 0)] == [0, 1]
    assert missing(0, 0) == 0


def test_names_are_short_and_distinct() -> None:
    assert [encode_name(number) for number in (0, 35, 36, 36**2)] == ["0", "z", "10", "100"]
    assert len("v123456" + encode_name(36**8 - 1)) == 15


def test_attributes_are_padded() -> None:
    assert attribute(3, b"ab\0") == struct.pack("=HH", 7, 3) + b"ab\0\0"


def test_the_mtu_is_that_of_the_default_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    routes.write_text(
        header + "e1\t0009A8C0\t0\t1\t0\t0\t0\t00FFFFFF\ne0\t00000000\t0\t3\t0\t0\t0\t00000000\n"
    )
    assert outgoing_mtu(routes, {"e0": 1400}.__getitem__) == 1400
    routes.write_text(header)
    assert outgoing_mtu(routes, {"e0": 1400}.__getitem__) == 1500


def test_the_mtu_of_a_device_is_asked_of_the_kernel() -> None:
    assert device_mtu("lo") >= 1280
    with pytest.raises(OSError, match="No such device"):
        device_mtu("no-such-device")


def test_stub_resolvers_are_passed_over(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("search example.org\nnameserver 127.0.0.53\noptions edns0\n")
    real.write_text("nameserver 192.0.2.1\nnameserver fe80::1\nnameserver 192.0.2.1\nnameserver\n")
    assert resolver.nameservers((stub, real)) == ("192.0.2.1",)
    assert resolver.nameservers((tmp_path / "none", stub)) == ()


def test_files_of_a_container() -> None:
    assert resolver.render_resolv_conf(("192.0.2.1",)) == "nameserver 192.0.2.1\nsearch .\noptions edns0\n"
    assert "10.0.0.2 web-1\n" in resolver.render_hosts("10.0.0.2", "web-1")
    assert "127.0.1.1 web-1\n" in resolver.render_hosts("", "web-1")


def test_what_is_ready_leaves_a_small_subnet_to_containers() -> None:
    sizes = {net: fitting(16, ipaddress.IPv4Network(f"10.9.0.0/{net}")) for net in (16, 26, 27, 28)}
    assert sizes == {16: 16, 26: 16, 27: 8, 28: 4}
