"""The wire types refuse what HAProxy could not carry, and survive a round trip."""

from __future__ import annotations

import pytest

from paas.router.table import (
    AppRoute,
    Backend,
    EmptyReason,
    RouterReply,
    RouteTable,
    check_table,
    decode,
    encode,
)

pytestmark = pytest.mark.unit

BACKEND = Backend(id="1f0e-a.b_c", name="web.1", address="10.1.2.3", port=5000, draining=True)
APP = AppRoute(
    app="0af3", name="one", hosts=("one.localhost", "*.one.test"), backends=(BACKEND,), error_url="https://e/"
)


def test_round_trip():
    table = RouteTable(version=7, apps=(APP,))
    assert decode(encode(table), RouteTable) == table
    assert decode(encode(RouterReply(table=table)), RouterReply).table == table


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('"hosts": ["UPPER.test"]', "hosts"),
        ('"hosts": ["a b"]', "hosts"),
        ('"hosts": ["a.test\\nevil"]', "hosts"),
        ('"hosts": ["x.*.test"]', "hosts"),
        ('"hosts": [], "name": "a|b"', "name"),
        ('"hosts": [], "error_url": "javascript:alert(1)"', "error_url"),
        ('"hosts": [], "error_url": "https://x/a b"', "error_url"),
        ('"hosts": [], "timeout_seconds": 0', "timeout_seconds"),
        ('"hosts": [], "empty": "tired"', "empty"),
        ('"hosts": [], "colour": "red"', "colour"),
        ('"hosts": [], "backends": [{"id": "a/b", "name": "web.1", "address": "10.0.0.1", "port": 1}]', "id"),
        (
            '"hosts": [], "backends": [{"id": "a", "name": "web.1", "address": "evil;del", "port": 1}]',
            "address",
        ),
        ('"hosts": [], "backends": [{"id": "a", "name": "web.1", "address": "10.0.0.1", "port": 0}]', "port"),
    ],
)
def test_refuses(body, field):
    defaults = "" if '"name"' in body.split("backends")[0] else '"name": "one", '
    with pytest.raises(ValueError, match=field):
        decode(
            b'{"version": 1, "apps": [{"app": "1", %s%s}]}' % (defaults.encode(), body.encode()), RouteTable
        )


def test_two_apps_cannot_share_a_host():
    other = AppRoute(app="2", name="two", hosts=("one.localhost",), empty=EmptyReason.CRASHED)
    with pytest.raises(ValueError, match=r"one\.localhost belongs to both one and two"):
        check_table(RouteTable(version=1, apps=(APP, other)))


def test_ids_name_one_instance():
    twice = AppRoute(app="2", name="two", hosts=(), backends=(BACKEND,))
    with pytest.raises(ValueError, match="appears twice"):
        check_table(RouteTable(version=1, apps=(APP, twice)))
