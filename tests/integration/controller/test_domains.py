"""Domains: one app each, under nobody else's name, frozen into a release."""

from __future__ import annotations

import dataclasses

import pytest

from paas.controller.models import App, Domain, User
from paas.controller.selectors.apps import app_hosts
from paas.controller.selectors.routes import route_table
from paas.controller.services.apps import create_app
from paas.controller.services.domains import add_domain, remove_domain
from paas.errors import InvalidParams, NotFound
from paas.router.table import RouteTable, check_table, decode, encode
from tests.integration.controller.machines import Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def test_it_reaches_the_app_and_is_in_a_release(platform: Platform, live: App, user: User) -> None:
    assert add_domain(user, live, "WWW.Example.org.").hostname == "www.example.org"
    add_domain(user, live, "*.example.org")
    platform.settle()
    assert app_hosts(live) == ["shop.localhost", "*.example.org", "www.example.org"]
    assert platform.edge.route("shop").hosts == tuple(app_hosts(live))
    assert live.releases.last().domains == ["*.example.org", "www.example.org"]
    remove_domain(user, live, " WWW.example.org. ")
    platform.settle()
    assert platform.edge.route("shop").hosts == ("shop.localhost", "*.example.org")
    assert live.releases.last().domains == ["*.example.org"]


BAD_NAMES = [
    "", "example", "-a.example.org", "a-.example.org", "a..example.org", ".example.org", "exa mple.org",
    "example.org/path", "example.org:80", "http://example.org", "*.*.org", "a.*.org", "*", "*.localhost", "exä.org",
    "a" * 64 + ".org", ".".join(["a" * 60] * 5), "a\0.org", "10.0.0.1", "1.2.3.4.", "\ud800.org",
]  # fmt: skip


def test_what_is_no_host_name_is_refused(user: User, app: App) -> None:
    for name in BAD_NAMES:
        with pytest.raises(InvalidParams, match="is not a host name"):
            add_domain(user, app, name)
    assert app.releases.count() == 1


def test_names_of_the_platform_are_refused(user: User, app: App) -> None:
    for name in ("localhost.localhost", "other.localhost", "deep.other.localhost"):
        with pytest.raises(InvalidParams, match="belong to the platform"):
            add_domain(user, app, name)


def test_a_name_has_one_app(user: User, stranger: User, app: App) -> None:
    other = create_app(stranger, "other")
    add_domain(user, app, "www.example.org")
    for owner, theirs in ((stranger, other), (user, app)):
        with pytest.raises(InvalidParams, match="in use already"):
            add_domain(owner, theirs, "www.EXAMPLE.org")
    assert other.releases.count() == 1
    with pytest.raises(NotFound):
        remove_domain(stranger, other, "www.example.org")


def test_of_many_at_once_one_gets_it(user: User) -> None:
    made = [create_app(user, f"app-{number}") for number in range(4)]
    results = together(*[lambda app=app: add_domain(user, app, "www.example.org") for app in made])
    assert len(failures(results)) == 3
    assert all(isinstance(one, InvalidParams) for one in failures(results))
    assert Domain.objects.count() == 1
    assert sorted(app.releases.count() for app in made) == [1, 1, 1, 2]


def test_removing_what_is_not_there(user: User, app: App) -> None:
    for name in ("www.example.org", "", "a\0b", "\ud800"):
        with pytest.raises(NotFound, match="Couldn't find domain"):
            remove_domain(user, app, name)


def test_a_domain_that_became_an_apps_own_name_does_not_void_the_table(
    user: User, app: App, settings: object
) -> None:
    other = create_app(user, "other")
    add_domain(user, app, "other.example.org")
    settings.PAAS = dataclasses.replace(settings.PAAS, domain="example.org")  # type: ignore[attr-defined]
    table = decode(encode(route_table()), RouteTable)
    check_table(table)
    assert {route.name: route.hosts for route in table.apps} == {
        "shop": ("shop.example.org",), "other": ("other.example.org",)
    }  # fmt: skip
    assert other.releases.count() == 1
