"""Commands turn whatever HAProxy holds into the layout, in the order that loses no request, and then fall silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.router import diff
from paas.router.layout import Placement, lay_out, place, server_of
from paas.router.table import AppRoute, Backend, RouteTable

pytestmark = pytest.mark.unit

UP, DRAIN, MAINT, DOWN = "UP", "DRAIN", "MAINT", "DOWN 1/2"


def layout(*backends):
    table = RouteTable(version=1, apps=(AppRoute(app="a", name="a", hosts=("a.test",), backends=backends),))
    return lay_out(table, place(table, Placement(), frozenset()))


def backend(number, *, draining=False):
    return Backend(
        id=f"i{number}", name=f"web.{number}", address="10.0.0.1", port=5000 + number, draining=draining
    )


def key(number):
    return server_of(backend(number), 1).key


class Model:
    """HAProxy's servers and maps as its manual describes the commands."""

    def __init__(self, servers):
        self.servers = dict(servers)

    def run(self, commands):
        for command in commands:
            words = command.text.split()
            if words[:2] == ["add", "server"]:
                assert words[2] not in self.servers
                self.servers[words[2]] = diff.ServerState(MAINT, 0)
            elif words[0] == "enable":
                self.servers[words[2]] = diff.ServerState(UP, self.servers[words[2]].sessions)
            elif words[:2] == ["set", "server"]:
                status = {"drain": DRAIN, "maint": MAINT, "ready": UP}[words[4]]
                self.servers[words[2]] = diff.ServerState(status, self.servers[words[2]].sessions)
            elif words[:2] == ["shutdown", "sessions"]:
                self.servers[words[3]] = diff.ServerState(self.servers[words[3]].status, 0)
            else:
                assert words[:2] == ["del", "server"]
                assert self.servers[words[2]] == diff.ServerState(MAINT, 0)
                del self.servers[words[2]]


def test_a_new_server_is_added_enabled_and_checked():
    texts = [command.text for command in diff.additions({}, layout(backend(1)))]
    assert texts[0].startswith(f"add server {key(1)} 10.0.0.1:5001 check inter 2s")
    assert texts[1:] == [f"enable server {key(1)}", f"enable health {key(1)}"]


def test_a_replaced_server_drains_and_goes_only_when_idle():
    observed = {key(1): diff.ServerState(UP, 3)}
    wanted = layout(backend(2), backend(1, draining=True))
    assert [command.text for command in diff.drains(observed, wanted)] == [f"set server {key(1)} state drain"]
    assert diff.unwanted(observed, wanted) == {key(1)}
    assert [command.text for command in diff.removal(key(1))] == [
        f"set server {key(1)} state maint",
        f"del server {key(1)}",
    ]
    assert f"shutdown sessions server {key(1)}" in [c.text for c in diff.removal(key(1), by_force=True)]


def test_not_usable_names_what_is_missing_or_down():
    observed = {key(1): diff.ServerState(DOWN, 0), key(2): diff.ServerState(UP, 0)}
    assert diff.not_usable(observed, layout(backend(1), backend(2), backend(3))) == {key(1), key(3)}


statuses = st.sampled_from([UP, "UP 1/2", DRAIN, MAINT, DOWN, "no check"])
states = st.builds(diff.ServerState, statuses, st.integers(0, 3))


@given(
    st.dictionaries(st.integers(0, 5).map(key), states),
    st.frozensets(st.integers(0, 5)),
    st.frozensets(st.integers(0, 5)),
)
def test_whatever_is_there_becomes_the_layout(observed, active, draining):
    wanted = layout(*(backend(n, draining=n in draining) for n in active | draining))
    model = Model(observed)
    model.run(diff.additions(model.servers, wanted))
    wanted_down = {one for one in wanted.servers if model.servers[one].status == DOWN}
    assert diff.not_usable(model.servers, wanted) == wanted_down
    model.run(diff.drains(model.servers, wanted))
    assert diff.additions(model.servers, wanted) == diff.drains(model.servers, wanted) == []
    for one in diff.unwanted(model.servers, wanted):
        model.run(diff.removal(one, by_force=True))
    assert set(model.servers) == set(wanted.servers)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.text("xyz;| \\", min_size=1)),
    st.dictionaries(st.sampled_from("abcd"), st.text("xyz")),
)
def test_maps_converge(observed, wanted):
    entries = dict(observed)
    for command in diff.map_changes("hosts.map", observed, wanted):
        verb, _, _, name, *value = command.text.split(" ")
        assert (name in entries) is (verb != "add")
        if verb == "del":
            del entries[name]
        else:
            entries[name] = " ".join(value)
    assert entries == wanted


def test_values_are_one_word():
    assert diff.escape("a;b c\\d") == "a\\;b\\ c\\\\d"
    command = diff.map_changes("m", {}, {"k": "x&amp;y"})[0]
    assert command.text == "add map m k x&amp\\;y"


def test_statistics_are_read_by_column_name():
    csv = "# pxname,svname,qcur,scur,status,\ns12,web.1:i:0,0,4,UP,\nplatform,web,0,1,UP,\ns1,web.2:j:0,0,,MAINT,\n\n"
    assert diff.parse_servers(csv) == {
        "s12/web.1:i:0": diff.ServerState(UP, 4),
        "s1/web.2:j:0": diff.ServerState(MAINT, 0),
    }
    with pytest.raises(ValueError, match="not HAProxy statistics"):
        diff.parse_servers("Unknown command")


def test_maps_are_read():
    assert diff.parse_map("0x55d a.test s1|x|30000|-|a\n0x55e b.test -|y|1|H14|b\n\n") == {
        "a.test": "s1|x|30000|-|a",
        "b.test": "-|y|1|H14|b",
    }
