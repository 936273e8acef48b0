"""Egress rules as text, as boxes for the kernel, and as elements of sets."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.refusals import Tally, news, sentence
from runtime.container.port import Attempt
from runtime.egress import (
    ALL_PORTS,
    PROTOCOLS,
    Egress,
    EgressRule,
    boxes,
    matches,
    parse_egress_rule,
    show_egress_rule,
)
from runtime.network import confinement
from runtime.network import egress as elements

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.1.2.3", EgressRule(to="10.1.2.3/32")),
        ("10.1.2.3/8:443", EgressRule(to="10.0.0.0/8", protocol="tcp", ports=((443, 443),))),
        ("*:53/UDP", EgressRule(to="0.0.0.0/0", protocol="udp", ports=((53, 53),))),
        ("10.0.0.0/8/icmp", EgressRule(to="10.0.0.0/8", protocol="icmp")),
        (
            "Api.Example.com:80,443,8000-8010,8011",
            EgressRule(to="api.example.com", protocol="tcp", ports=((80, 80), (443, 443), (8000, 8011))),
        ),
        ("*.example.com/tcp", EgressRule(to="*.example.com", protocol="tcp")),
    ],
)
def test_rules_are_read_and_shown(text: str, rule: EgressRule) -> None:
    assert parse_egress_rule(text) == rule
    assert parse_egress_rule(show_egress_rule(rule)) == rule


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no egress rule"),
        ("localhost", "neither an IPv4 network nor a DNS name"),
        ("10.0.0.300", "neither an IPv4 network"),
        ("fd00::1", "no egress rule"),
        ("a.b*.c", "neither"),
        ("10.0.0.0/8:0", "1 to 65535"),
        ("10.0.0.0/8:9-5", "the smaller one first"),
        ("10.0.0.0/8:1-2-3", "no port or range"),
        ("10.0.0.0/8/sctp", "no protocol"),
        ("10.0.0.0/8:80/icmp", "only tcp and udp"),
        ("example.com:1-40", "32 ports"),
        ("10.0.0.1 drop", "no egress rule"),
    ],
)
def test_what_is_no_rule_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_egress_rule(text)


def test_names_match_as_they_say() -> None:
    one, below = parse_egress_rule("api.example.com"), parse_egress_rule("*.example.com")
    assert matches(one, "api.example.com")
    assert not matches(one, "x.api.example.com")
    assert matches(below, "a.b.example.com")
    assert not matches(below, "example.com")
    assert not matches(below, "badexample.com")
    assert not matches(parse_egress_rule("*"), "example.com")


NETWORKS = st.builds(
    lambda address, length: str(ipaddress.ip_network((address, length), strict=False)),
    st.integers(0, 2**6 - 1).map(lambda number: number << 26),
    st.integers(2, 8),
)
PORTS = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 6)).map(lambda one: (one[0], one[0] + one[1])), max_size=3
).map(tuple)
RULES = st.one_of(
    st.builds(EgressRule, to=NETWORKS, protocol=st.sampled_from(["tcp", "udp"]), ports=PORTS),
    st.builds(EgressRule, to=NETWORKS, protocol=st.sampled_from(["any", "icmp"])),
)


def allowed(rule: EgressRule, address: int, protocol: int, port: int) -> bool:
    network = rule.network
    return (
        network is not None
        and ipaddress.IPv4Address(address) in network
        and (rule.protocol == "any" or PROTOCOLS[rule.protocol] == protocol)
        and any(first <= port <= last for first, last in rule.ports or (ALL_PORTS,))
    )


@given(
    st.lists(RULES, max_size=6),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 6, 17, 47]),
    st.integers(0, 30),
)
def test_boxes_allow_what_the_rules_allow_and_never_overlap(
    rules: list[EgressRule], address: int, protocol: int, port: int
) -> None:
    point = (address, protocol, port)
    holding = [
        box
        for box in boxes(rules)
        if all(
            first <= value <= last
            for (first, last), value in zip((box.addresses, box.protocols, box.ports), point, strict=True)
        )
    ]
    assert len(holding) == any(allowed(rule, *point) for rule in rules)


@given(st.lists(RULES, max_size=6))
def test_boxes_of_one_protocol_are_apart(rules: list[EgressRule]) -> None:
    made = sorted(boxes(rules))
    for one, two in pairwise(made):
        assert one.addresses == two.addresses or one.addresses[1] < two.addresses[0]


def test_new_rules_have_a_number_that_nobody_had() -> None:
    tcp, none = Egress(rules=(parse_egress_rule("10.0.0.0/8:443"),)), Egress()
    first = confinement.renumber(confinement.Kept(), {"a": none, "b": tcp}, {"a": tcp})
    assert (first.apps["a"].number, first.apps["b"].number, first.builds["a"].number) == (1, 2, 3)
    assert confinement.renumber(first, {"a": none, "b": tcp}, {"a": tcp}) == first
    second = confinement.renumber(first, {"a": tcp}, {})
    assert (second.apps["a"].number, second.last, second.builds) == (4, 4, {})
    assert confinement.renumber(second, {"a": none}, {}).apps["a"].number == 5


def test_elements_of_the_sets() -> None:
    rules = Egress(rules=tuple(map(parse_egress_rule, ("10.0.0.0/8:443", "192.0.2.1", "a.example.com"))))
    assert elements.render_rules("t", 3, {7: rules}) == (
        "add element inet t egress_3 { 7 . 10.0.0.0-10.255.255.255 . tcp . 443-443, "
        "7 . 192.0.2.1 . 0-255 . 0-65535 }\n"
    )
    assert elements.render_rules("t", 3, {7: Egress()}) == ""
    one = elements.Confined(address="10.0.0.2", number=7)
    assert "delete element inet t egress_of { 10.0.0.2 }\n" in elements.render_confine("t", [one], [])
    assert "add element inet t egress_of { 10.0.0.2 : 7 }\n" in elements.render_confine("t", [], [one])


def test_counts_become_words() -> None:
    def attempt(packets: int, target: str = "192.0.2.1") -> Attempt:
        return Attempt(source="10.0.0.2", target=target, protocol="tcp", port=443, packets=packets)

    before = {attempt(0): 5}
    assert news(before, [attempt(5)]) == []
    assert news(before, [attempt(7)]) == [(attempt(7), 2)]
    assert news(before, [attempt(2)]) == [(attempt(2), 2)], "it was forgotten and noted anew"
    tally = Tally()
    assert not tally.due(0)
    tally.packets = 9
    tally.targets.update({f"192.0.2.{n}:443/tcp": 9 - n for n in range(7)})
    assert tally.due(0)
    assert sentence(tally) == (
        "Egress rules refused 192.0.2.0:443/tcp, 192.0.2.1:443/tcp, 192.0.2.2:443/tcp, 192.0.2.3:443/tcp, "
        "192.0.2.4:443/tcp and 2 more (9 packets)"
    )
