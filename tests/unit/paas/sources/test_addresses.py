"""Which addresses are called for a user."""

from __future__ import annotations

import ipaddress

import pytest

from paas.sources.addresses import Reach, is_public, parse_networks, unwrapped

pytestmark = pytest.mark.unit

INSIDE = (
    "127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.9 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 "
    "192.0.2.1 198.18.0.1 240.0.0.1 :: ::1 fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 "
    "64:ff9b::7f00:1 64:ff9b::808:808 2002:7f00:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 ::7f00:1 2001:db8::1"
).split()


@pytest.mark.parametrize("text", INSIDE)
def test_inside_is_never_public(text: str) -> None:
    assert not is_public(unwrapped(ipaddress.ip_address(text)))


@pytest.mark.parametrize("text", ["1.1.1.1", "140.82.121.4", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_the_internet_is(text: str) -> None:
    assert is_public(unwrapped(ipaddress.ip_address(text)))


def test_an_operators_networks_may_be_called() -> None:
    reach = Reach(parse_networks("10.1.0.0/16, fd12::/16"))
    allowed = {text: reach.allows(ipaddress.ip_address(text)) for text in ("10.1.2.3", "10.2.0.1", "fd12::9")}
    assert allowed == {"10.1.2.3": True, "10.2.0.1": False, "fd12::9": True}
    assert reach.allows(ipaddress.ip_address("::ffff:10.1.2.3"))


def test_a_setting_that_is_no_network() -> None:
    with pytest.raises(ValueError, match=r"10\.1\.0\.5/16"):
        parse_networks("10.1.0.5/16")
