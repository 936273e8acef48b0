"""A report says of every backend whether requests reach it, and whether its last one has ended in any process."""

from __future__ import annotations

import pytest

from paas.router.diff import ServerState
from paas.router.layout import server_of
from paas.router.report import Found
from paas.router.table import AppRoute, Backend, BackendState, RouteTable

pytestmark = pytest.mark.unit

STAYS = Backend(id="stays", name="web.1", address="10.0.0.1", port=1)
LEAVES = Backend(id="leaves", name="web.2", address="10.0.0.2", port=1, draining=True)
TABLE = RouteTable(version=4, apps=(AppRoute(app="a", name="a", hosts=(), backends=(STAYS, LEAVES)),))
STAYS_KEY, LEAVES_KEY = server_of(STAYS, 1).key, server_of(LEAVES, 1).key


def leaving(*workers):
    found = Found(workers=workers, table=TABLE)
    return found.backends()[1], found.draining


def test_up_and_draining():
    found = Found(
        workers=({STAYS_KEY: ServerState("UP", 2), LEAVES_KEY: ServerState("DRAIN", 1)},), table=TABLE
    )
    assert found.backends() == (
        BackendState(id="stays", active_sessions=2, drained=False, up=True),
        BackendState(id="leaves", active_sessions=1, drained=False, up=False),
    )


def test_drained_when_the_last_request_has_ended():
    assert leaving({LEAVES_KEY: ServerState("DRAIN", 0)}) == (
        BackendState(id="leaves", active_sessions=0, drained=True, up=False),
        False,
    )
    assert leaving({}) == (BackendState(id="leaves", active_sessions=0, drained=True, up=False), False)


def test_an_old_process_keeps_a_backend_from_being_drained():
    state, draining = leaving({}, {LEAVES_KEY: ServerState("UP", 1)})
    assert (state.drained, state.active_sessions, draining) == (False, 1, True)


def test_down_and_missing_are_not_up():
    for worker in ({STAYS_KEY: ServerState("DOWN", 0)}, {}):
        assert not Found(workers=(worker,), table=TABLE).backends()[0].up


def test_nothing_is_known_without_a_table_or_a_haproxy():
    assert Found().backends() == ()
    assert not Found().draining
    assert [state.up for state in Found(table=TABLE).backends()] == [False, False]


def test_the_number_of_requests_is_no_news():
    few = Found(workers=({STAYS_KEY: ServerState("UP", 1)},), table=TABLE)
    many = Found(workers=({STAYS_KEY: ServerState("UP", 9)},), table=TABLE)
    down = Found(workers=({STAYS_KEY: ServerState("DOWN", 9)},), table=TABLE)
    assert few.summary() == many.summary() != down.summary()
