"""Which sysctls and ulimits a container may have, and which values: everything else is refused in words."""

from __future__ import annotations

import re

import pytest

from runtime.container.port import EngineError
from runtime.container.requests import check_kernel
from runtime.container.sysctls import host_value
from runtime.container.ulimits import constant, effective, notes
from runtime.kernel import SYSCTLS, ULIMITS, UNLIMITED, parse_sysctl, parse_ulimit, show_ulimit, within
from runtime.model import ContainerSpec, Limits, Rootfs, decode, encode

pytestmark = pytest.mark.unit


def spec(**changes: object) -> ContainerSpec:
    values = {"id": "a", "owner": "o", "name": "web.1", "rootfs": Rootfs(host=True), "argv": ("true",)}
    return ContainerSpec(**(values | changes))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("net.core.somaxconn", "4096", "4096"),
        ("net.core.somaxconn", " 04096\n", "4096"),
        ("net.ipv4.ip_local_port_range", "2000\t3000", "2000 3000"),
        ("net.ipv4.ip_unprivileged_port_start", "0", "0"),
        ("net.ipv4.ping_group_range", "1 0", "1 0"),
        ("net.ipv4.tcp_rmem", "4096  131072 6291456", "4096 131072 6291456"),
        ("kernel.sem", "250 32000 100 128", "250 32000 100 128"),
        ("kernel.shmmax", "68719476736", "68719476736"),
        ("fs.mqueue.msg_max", "64", "64"),
    ],
)
def test_values_are_read_as_the_kernel_reads_them(name: str, text: str, value: str) -> None:
    assert parse_sysctl(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("net.core.somaxconn", "", "one whole number"),
        ("net.core.somaxconn", "many", "one whole number"),
        ("net.core.somaxconn", "-1", "one whole number"),
        ("net.core.somaxconn", "0x10", "one whole number"),
        ("net.core.somaxconn", "٣", "one whole number"),
        ("net.core.somaxconn", "1 2", "one whole number"),
        ("net.core.somaxconn", "0", "from 1 to 65535"),
        ("net.core.somaxconn", "65536", "from 1 to 65535"),
        ("net.core.somaxconn", "9" * 400, "one whole number"),
        ("net.ipv4.ip_local_port_range", "3000", "2 whole numbers"),
        ("net.ipv4.ip_local_port_range", "3000 2000", "must rise"),
        ("net.ipv4.ip_local_port_range", "80 2000", "from 1024"),
        ("net.ipv4.ip_unprivileged_port_start", "1025", "from 0 to 1024"),
        ("net.ipv4.tcp_rmem", "4096 131072 999999999", "from 4096"),
        ("kernel.sem", "1 2 3", "4 whole numbers"),
    ],
)
def test_values_that_make_no_sense_are_refused(name: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_sysctl(name, text)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "vm.swappiness",
        "kernel.core_pattern",
        "kernel.shm_next_id",
        "kernel.hostname",
        "net.ipv4.ip_forward",
        "net.ipv4.conf.all.rp_filter",
        "net.ipv4.conf.eth0.forwarding",
        "net.core.rmem_max",
        "net.netfilter.nf_conntrack_max",
        "net.ipv4.tcp_congestion_control",
        "net/core/somaxconn",
        "net.core.somaxconn ",
        "NET.CORE.SOMAXCONN",
        "../kernel/core_pattern",
        "kernel.../core_pattern",
    ],
)
def test_what_is_not_allowed_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        parse_sysctl(name, "1")
    with pytest.raises(EngineError, match=re.escape(repr(name))):
        check_kernel(spec(sysctls={name: "1"}))


def test_a_slip_of_the_pen_gets_the_right_name() -> None:
    with pytest.raises(ValueError, match=r"Did you mean net\.core\.somaxconn\?"):
        parse_sysctl("net.core.somaxcon", "1")


def test_every_name_is_one_that_a_container_has_alone() -> None:
    own = re.compile(r"(net\.(core|ipv4|unix)|fs\.mqueue)\.[a-z0-9_]+|kernel\.(shm|msg|sem)[a-z_]*")
    assert [name for name in SYSCTLS if not own.fullmatch(name)] == []
    for name, sysctl in SYSCTLS.items():
        text = " ".join(str(high) for _, high in sysctl.bounds)
        assert parse_sysctl(name, text) == text, name


@pytest.mark.parametrize(
    ("name", "text", "limits"),
    [
        ("nofile", "65536", (65536, 65536)),
        ("nofile", "1024:65536", (1024, 65536)),
        ("memlock", "unlimited", (UNLIMITED, UNLIMITED)),
        ("stack", "8388608:unlimited", (8388608, UNLIMITED)),
        ("core", "0", (0, 0)),
        ("nproc", "256", (256, 256)),
        ("msgqueue", " 819200 ", (819200, 819200)),
    ],
)
def test_ulimits_are_read_and_shown(name: str, text: str, limits: tuple[int, int]) -> None:
    assert parse_ulimit(name, text) == limits
    assert parse_ulimit(name, show_ulimit(*limits)) == limits


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rtprio", "1", "cannot be set"),
        ("rtprio", "x", "cannot be set"),
        ("cpu", "1", "Allowed are: core, memlock"),
        ("nofiles", "1", r"Did you mean nofile\?"),
        ("nofile", "", "takes N, SOFT:HARD or unlimited"),
        ("nofile", "1024:", "takes N"),
        ("nofile", "1:2:3", "takes N"),
        ("nofile", "-5", "takes N"),
        ("nofile", "unlimited", "64 to 1048576 files, not unlimited"),
        ("nofile", "10", "64 to 1048576"),
        ("nofile", "2000:1000", "above its hard limit"),
        ("stack", "unlimited:8388608", "above its hard limit"),
        ("stack", "1", "262144"),
        ("nproc", "9" * 30, "takes N"),
    ],
)
def test_ulimits_that_make_no_sense_are_refused(name: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_ulimit(name, text)


@pytest.mark.parametrize("limits", [(-2, 100), (100, -2), (UNLIMITED, 4096), (5000, 4096)])
def test_the_host_trusts_no_number(limits: tuple[int, int]) -> None:
    with pytest.raises(EngineError, match="nofile"):
        check_kernel(spec(ulimits={"nofile": limits}))


def test_unlimited_is_above_every_number() -> None:
    assert within(UNLIMITED, UNLIMITED)
    assert within(5, UNLIMITED)
    assert not within(UNLIMITED, 5)
    assert within(5, 5)


def test_limits_stay_within_what_the_host_allows_and_say_so() -> None:
    wishes = spec(
        limits=Limits(nofile=100),
        ulimits={"nofile": (1024, 65536), "memlock": (UNLIMITED, UNLIMITED), "stack": (10**6, UNLIMITED)},
    )
    ceilings = {"nofile": 20000, "memlock": 8192, "stack": UNLIMITED, "core": UNLIMITED}
    assert effective(wishes, ceilings) == {
        "nofile": (1024, 20000),
        "core": (0, 0),
        "memlock": (8192, 8192),
        "stack": (10**6, UNLIMITED),
    }
    assert notes(wishes, ceilings) == (
        "The ulimit nofile is 20000 instead of 65536: this host allows its agent no more",
        "The ulimit memlock is 8192 instead of unlimited: this host allows its agent no more",
    )
    assert notes(spec(limits=Limits(nofile=10**9)), ceilings) == ()  # nobody wished for the platform's own


def test_every_ulimit_has_a_constant_of_the_kernel() -> None:
    import resource

    assert all(hasattr(resource, constant(name)) for name in ULIMITS)


def test_group_ids_are_those_of_the_container() -> None:
    assert host_value("net.ipv4.ping_group_range", "0 1000", 1_065_536) == "1065536 1066536"
    assert host_value("net.core.somaxconn", "4096", 1_065_536) == "4096"


def test_an_order_keeps_them_on_its_way_and_old_orders_have_none() -> None:
    one = spec(sysctls={"net.core.somaxconn": "4096"}, ulimits={"nofile": (1024, UNLIMITED)})
    assert decode(encode(one), ContainerSpec) == one
    old = b'{"id": "a", "owner": "o", "name": "web.1", "rootfs": {}, "argv": []}'
    assert (decode(old, ContainerSpec).sysctls, decode(old, ContainerSpec).ulimits) == ({}, {})
