"""Apps keep their slot, the pool grows when it must, and every app's state is in its map entry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.router.layout import (
    Placement,
    attribute_safe,
    dyno_of,
    instance_of,
    lay_out,
    occupied_slots,
    place,
    server_of,
)
from paas.router.table import AppRoute, Backend, EmptyReason, RouteTable

pytestmark = pytest.mark.unit


def backend(id_="i1", *, address="10.0.0.1", port=5000, draining=False):
    return Backend(id=id_, name="web.1", address=address, port=port, draining=draining)


def app(name, *backends, **more):
    return AppRoute(app=f"id-{name}", name=name, hosts=(f"{name}.test",), backends=backends, **more)


def table(*apps):
    return RouteTable(version=3, apps=apps)


def test_first_apps_take_the_first_slots():
    placement = place(table(app("a", backend("1")), app("b", backend("2"))), Placement(), frozenset())
    assert placement == Placement(pool=64, slots={"id-a": 1, "id-b": 2})


def test_apps_without_backends_need_no_slot():
    assert place(table(app("a")), Placement(), frozenset()).slots == {}


def test_an_app_keeps_its_slot_and_a_removed_one_gives_it_up():
    before = Placement(slots={"id-a": 1, "id-b": 2})
    after = place(table(app("b"), app("c", backend())), before, frozenset())
    assert after.slots == {"id-b": 2, "id-c": 1}


def test_a_slot_with_servers_of_a_former_owner_is_not_given_away():
    before = Placement(slots={"id-a": 1})
    occupied = occupied_slots({"s1/web.1:x:0": None}, Placement())
    assert place(table(app("c", backend())), before, occupied).slots == {"id-c": 2}


def test_the_pool_doubles_until_all_fit():
    apps = [app(f"a{n}", backend(f"i{n}")) for n in range(130)]
    placement = place(table(*apps), Placement(), frozenset())
    assert placement.pool == 256
    assert len(set(placement.slots.values())) == 130


@given(
    st.lists(st.integers(0, 90), unique=True),
    st.lists(st.integers(0, 90), unique=True),
    st.frozensets(st.integers(1, 64)),
)
def test_no_two_apps_ever_share_a_slot(first, second, occupied):
    placement = Placement()
    for numbers in (first, second):
        apps = [app(f"a{n}", backend(f"i{n}")) for n in numbers]
        before, placement = placement, place(table(*apps), placement, occupied)
        slots = list(placement.slots.values())
        assert len(slots) == len(set(slots)) == len(numbers)
        assert all(1 <= slot <= placement.pool for slot in slots)
        assert all(before.slots[a] == slot for a, slot in placement.slots.items() if a in before.slots)
        new = {slot for name, slot in placement.slots.items() if name not in before.slots}
        assert not new & occupied


def test_another_address_is_another_server():
    one, moved = server_of(backend(), 1), server_of(backend(address="10.0.0.2"), 1)
    assert one.key != moved.key
    assert instance_of(one.name) == instance_of(moved.name) == "i1"
    assert dyno_of(one.name) == "web.1"
    assert (instance_of("<NOSRV>"), dyno_of("<NOSRV>")) == ("", "")


def test_endpoints():
    assert server_of(backend(), 1).endpoint == "10.0.0.1:5000"
    assert server_of(backend(address="fd00::1"), 1).endpoint == "[fd00::1]:5000"


@pytest.mark.parametrize(
    ("route", "entry"),
    [
        (app("a", backend()), "s1|id-a|30000|-|a"),
        (app("a", backend(), timeout_seconds=90), "s1|id-a|90000|-|a"),
        (app("a", backend(), maintenance=True), "s1|id-a|30000|H80|a"),
        (app("a", backend(draining=True)), "s1|id-a|30000|H14|a"),
        (app("a", empty=EmptyReason.NO_RELEASE), "-|id-a|30000|H81|a"),
        (app("a", empty=EmptyReason.NO_WEB), "-|id-a|30000|H14|a"),
        (app("a", empty=EmptyReason.CRASHED), "-|id-a|30000|H10|a"),
        (app("a", empty=EmptyReason.STARTING), "-|id-a|30000|H20|a"),
    ],
)
def test_host_entries(route, entry):
    placement = place(table(route), Placement(), frozenset())
    assert lay_out(table(route), placement).hosts == {"a.test": entry}


def test_draining_backends_are_not_laid_out():
    route = app("a", backend("1"), backend("2", draining=True))
    layout = lay_out(table(route), Placement(slots={"id-a": 5}))
    assert [instance_of(server.name) for server in layout.servers.values()] == ["1"]
    assert all(key.startswith("s5/") for key in layout.servers)


def test_urls_are_safe_in_pages():
    assert attribute_safe("https://x/?a=1&b='\"<>") == "https://x/?a=1&amp;b=&#x27;&quot;&lt;&gt;"
