"""The wire format of DNS, and what names of containers mean."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.model import Egress, EgressRule, Member, Network, NetworkMember
from runtime.network import dns, names, reach, resolver
from runtime.network.dns import Code

pytestmark = pytest.mark.unit


def ask(name: str, type_: int = 1, *, edns: int = 0, id_: int = 7, class_: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    tail = b"\0\0\x29" + struct.pack(">HIH", edns, 0, 0) if edns else b""
    head = struct.pack(">HHHHHH", id_, 0x0100, 1, 0, 0, 1 if edns else 0)
    return head + labels + struct.pack(">HH", type_, class_) + tail


def addresses_in(answer: bytes) -> list[str]:
    query = dns.parse(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + answer[12:])
    assert query is not None
    at, found = 12 + len(query.question), []
    for _ in range(struct.unpack_from(">H", answer, 6)[0]):
        pointer, type_, class_, ttl, length = struct.unpack_from(">HHHIH", answer, at)
        assert (pointer, type_, class_, ttl, length) == (0xC00C, 1, 1, 1, 4)
        found.append(".".join(str(byte) for byte in answer[at + 12 : at + 16]))
        at += 16
    return found


def test_a_question_is_read_and_answered() -> None:
    query = dns.parse(ask("Web.MyApp.internal"))
    assert query is not None
    assert (query.name, query.type, query.room) == ("web.myapp.internal", 1, 512)
    answer = dns.render(query, ("10.0.0.1", "10.0.0.2"))
    assert answer[12 : 12 + len(query.question)] == query.question  # its letters as they came
    assert addresses_in(answer) == ["10.0.0.1", "10.0.0.2"]
    assert struct.unpack_from(">HH", answer) == (7, 0x8580)
    assert dns.answers(answer, query)


def test_other_types_of_a_known_name_have_no_records() -> None:
    query = dns.parse(ask("web.x.internal", 28))
    assert query is not None
    answer = dns.render(query, ("10.0.0.1",))
    assert struct.unpack_from(">HHHH", answer)[1:] == (0x8580, 1, 0)
    assert dns.render(query, (), Code.NO_SUCH_NAME)[3] & 15 == 3


def test_what_has_no_room_is_cut_off_and_said() -> None:
    many = tuple(f"10.0.0.{n}" for n in range(1, 101))
    for edns, most in ((0, 512), (4096, 1232), (100, 512)):
        query = dns.parse(ask("web.x.internal", edns=edns))
        assert query is not None
        answer = dns.render(query, many)
        assert len(answer) <= most
        assert answer[2] & 2
        assert struct.unpack_from(">H", answer, 10)[0] == (1 if edns else 0)
    query = dns.parse(ask("web.x.internal"))
    assert query is not None
    assert len(addresses_in(dns.render(query, many, limited=False))) == 100


def test_only_plain_queries_are_read() -> None:
    good = ask("a.internal")
    assert dns.parse(good)
    assert dns.parse(ask("a.internal", class_=3)) is None
    assert dns.parse(good[:2] + b"\x80" + good[3:]) is None  # an answer
    assert dns.parse(good[:2] + b"\x28" + good[3:]) is None  # an update
    assert dns.parse(good[:5] + b"\x02" + good[6:]) is None  # two questions
    assert dns.parse(good[:12] + b"\xc0\x0c" + good[14:]) is None  # a name that points at itself
    for length in range(len(good)):
        assert dns.parse(good[:length]) is None


@given(st.binary(max_size=80))
def test_nothing_breaks_the_reader(data: bytes) -> None:
    query = dns.parse(data)
    if query is not None:
        assert dns.answers(dns.render(query, ("10.0.0.1",)), query)
    dns.read_addresses(data)


APPS = {"o1": "myapp", "o2": "other"}
MEMBERS = (
    Member(owner="o1", address="10.1.0.1", name="web.1"),
    Member(owner="o1", address="10.1.0.2", name="web.2", up=False),
    Member(owner="o1", address="10.2.0.1", name="worker.1"),
    Member(owner="o1", address="10.2.0.9", name="down.1", up=False),
    Member(owner="o2", address="10.3.0.1", name="web.1"),
    Member(owner="plain", address="10.4.0.1", name="web.1"),
)


def resolve(name: str, owner: str = "o1") -> list[str] | None:
    return names.resolve(name, owner, APPS, MEMBERS)


def test_names_lead_to_healthy_instances_of_the_own_app() -> None:
    assert resolve("myapp.internal") == ["10.1.0.1", "10.2.0.1"]
    assert resolve("web.MyApp.internal") == ["10.1.0.1"]
    assert resolve("web.1.myapp.internal") == ["10.1.0.1"]
    assert resolve("web.2.myapp.internal") == []
    assert resolve("down.myapp.internal") == []
    assert resolve("web.other.internal", "o2") == ["10.3.0.1"]
    assert resolve("web.plain.internal", "plain") == ["10.4.0.1"]


def test_there_are_no_other_names() -> None:
    for name in (
        "web.other.internal",
        "other.internal",
        "cron.myapp.internal",
        "1.myapp.internal",
        "internal",
    ):
        assert resolve(name) is None
    assert names.is_ours("internal")
    assert names.is_ours("a.b.internal")
    assert not names.is_ours("notinternal")
    assert not names.is_ours("internal.example.org")


NETWORKS = (
    Network(
        name="Back",
        members=(
            NetworkMember(owner="o1"),
            NetworkMember(owner="o2", aliases=("store", "Db")),
            NetworkMember(owner="plain", aliases=("store",)),
        ),
    ),
    Network(name="side", members=(NetworkMember(owner="o2", aliases=("x",)),)),
)


def test_networks_have_names_for_their_members_only() -> None:
    def ask(name: str, owner: str) -> list[str] | None:
        return names.resolve(name, owner, APPS, MEMBERS, NETWORKS)

    assert ask("store.back.internal", "o1") == ["10.3.0.1", "10.4.0.1"]
    assert ask("db.BACK.internal", "o1") == ["10.3.0.1"]
    assert ask("web.1.db.back.internal", "plain") == ["10.3.0.1"]
    assert ask("web.other.internal", "o1") == ask("other.internal", "o1") == ["10.3.0.1"]
    assert ask("down.myapp.internal", "o2") == []
    assert ask("worker.db.back.internal", "o1") is None
    assert ask("x.side.internal", "o1") is None
    assert ask("none.back.internal", "o1") is None
    assert ask("back.internal", "o1") is None
    assert ask("store.back.internal", "o3") is None


def test_who_reaches_whom() -> None:
    here, local = {"o1": 1, "o2": 2}, {"10.1.0.1": "o1", "10.3.0.1": "o2"}
    elsewhere = (
        Member(owner="o1", address="10.9.0.1"),
        Member(owner="plain", address="10.9.0.2"),
        Member(owner="nobody", address="10.9.0.3"),
    )

    def guest(owner: str) -> int:
        return {"plain": 99}[owner]

    alone = reach.plan(here, local, elsewhere, (), guest)
    assert (alone.owners, alone.pairs) == ({"10.9.0.1": 1}, {(1, "10.9.0.1")})
    joined = reach.plan(here, local, elsewhere, NETWORKS, guest)
    assert joined.owners == {"10.9.0.1": 1, "10.9.0.2": 99}
    assert joined.pairs == {
        (1, "10.9.0.1"),
        (2, "10.9.0.1"),
        (1, "10.9.0.2"),
        (2, "10.9.0.2"),
        (2, "10.1.0.1"),
        (99, "10.1.0.1"),
        (1, "10.3.0.1"),
        (99, "10.3.0.1"),
    }


def test_an_internal_network_closes_every_way_out() -> None:
    internal = Network(name="vault", internal=True, members=(NetworkMember(owner="o1"),))
    rules = {"o1": Egress(rules=(EgressRule(to="192.0.2.0/24"),)), "o2": Egress()}
    assert reach.effective_egress(rules, (*NETWORKS, internal)) == {"o1": Egress(), "o2": Egress()}
    assert reach.effective_egress(rules, NETWORKS) == rules


def test_the_hosts_servers_are_asked_on_loopback_too(tmp_path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver odd\n#nameserver 9.9.9.9\n")
    assert resolver.host_servers(file) == (("127.0.0.53", 53), ("fe80::1%eth0", 53))
    assert resolver.host_servers(tmp_path / "none") == ()
