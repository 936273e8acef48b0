"""The firewall as text, and who is who in it."""

from __future__ import annotations

import re

import pytest

from runtime.network import rules
from runtime.network.rules import Member

pytestmark = pytest.mark.unit

NAMES = rules.names_of("x1")
MEMBERS = (
    Member(interface="v1", address="10.0.0.2", owner=7),
    Member(interface="v2", address="10.0.0.3", owner=0),
)


def render(**changes: object) -> str:
    values = {
        "names": NAMES,
        "subnet": "10.0.0.0/24",
        "blocked": ("192.0.2.1",),
        "nameservers": ("192.0.2.53",),
    }
    return rules.render_table(**(values | {"members": MEMBERS} | changes))


def elements(text: str, name: str) -> str:
    line = next(line for line in text.splitlines() if re.match(rf"  (set|map) {name} ", line))
    found = re.search(r"elements = \{ (.*?) \}", line)
    return found[1] if found else ""


def test_names_fit_and_differ() -> None:
    assert NAMES.table == "paas_x1"
    assert re.fullmatch(r"v[0-9a-f]{6}", NAMES.veth)
    assert rules.names_of("x2").veth != NAMES.veth
    assert rules.names_of("a-b.c").table == "paas_a_b_c"


def test_members_of_an_app_and_a_build() -> None:
    text = render()
    assert elements(text, "senders") == '"v1" . 10.0.0.2, "v2" . 10.0.0.3'
    assert elements(text, "owner_of") == "10.0.0.2 : 7"
    assert elements(text, "members") == "7 . 10.0.0.2"


def test_the_metadata_service_is_always_blocked() -> None:
    assert elements(render(), "blocked") == "169.254.169.254/32, 192.0.2.1/32"
    assert elements(render(blocked=()), "blocked") == "169.254.169.254/32"


def test_the_table_is_replaced_in_one_transaction() -> None:
    lines = render().strip().splitlines()
    assert lines[:3] == [
        f"add table inet {NAMES.table}",
        f"delete table inet {NAMES.table}",
        f"table inet {NAMES.table} {{",
    ]


@pytest.mark.parametrize("chain", ["from_host", "forward"])
def test_nothing_for_a_container_that_is_gone_leaves_the_host(chain: str) -> None:
    first = render().partition(f"chain {chain} {{")[2].strip().splitlines()[1].strip()
    assert first.startswith(f'ip daddr 10.0.0.0/24 oifname != "{NAMES.veth}*"')
    assert first.endswith("reject with icmpx type host-unreachable")


def test_empty_sets_have_no_elements() -> None:
    assert "elements = {  }" not in render(members=(), nameservers=(), blocked=())


def test_blocked_networks_are_checked_and_merged() -> None:
    assert rules.normalize(("10.0.0.0/9", "10.128.0.0/9", "10.1.2.3", "fd00::/8")) == ("10.0.0.0/8",)
    with pytest.raises(ValueError, match="nonsense"):
        rules.normalize(("nonsense",))


def test_leaving_undoes_joining() -> None:
    for member in MEMBERS:
        joined = rules.render_join(NAMES, member).splitlines()
        left = rules.render_leave(NAMES, member).splitlines()
        expected = [line.replace("add", "delete", 1).replace(" : 7", "") for line in joined]
        assert left == expected
    assert len(rules.render_join(NAMES, MEMBERS[0]).splitlines()) == 3
    assert len(rules.render_join(NAMES, MEMBERS[1]).splitlines()) == 1
