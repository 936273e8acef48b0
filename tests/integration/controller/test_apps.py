"""Apps: their names, who sees them, and that nothing of a destroyed one stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from paas.controller.models import (
    App,
    Build,
    Collaborator,
    Deployment,
    Event,
    Host,
    Instance,
    OneOff,
    Release,
    Slug,
    Stack,
    User,
)
from paas.controller.redis_connection import client as redis_client
from paas.controller.selectors.apps import access_app, visible_apps
from paas.controller.services import apps
from paas.controller.services.domains import add_domain
from paas.controller.tasks.housekeeping import forget_app
from paas.errors import Forbidden, InvalidParams, NotFound
from tests.integration.controller.conftest import deploy, run
from tests.integration.controller.machines import Agent, Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def test_an_app_begins_with_an_empty_release(user: User) -> None:
    for name in ("abc", "my-app-2", "a" * 30):
        app = apps.create_app(user, name)
        assert (app.name, app.releases.get().version, app.current_release) == (name, 1, app.releases.get())


def test_a_bad_name_leaves_nothing(user: User) -> None:
    for name in ("ab", "Shop", "api", "a\0b"):
        with pytest.raises(InvalidParams, match="name"):
            apps.create_app(user, name)
    assert not App.objects.exists()


def test_a_name_is_made_when_none_is_given(user: User) -> None:
    names = {apps.create_app(user, None).name for _ in range(5)}
    assert len(names) == 5


def test_a_name_is_taken_once(user: User, stranger: User, app: App) -> None:
    with pytest.raises(InvalidParams, match="already taken"):
        apps.create_app(stranger, "shop")
    other = apps.create_app(stranger, "other")
    with pytest.raises(InvalidParams, match="already taken"):
        apps.rename_app(stranger, other, "shop")
    assert App.objects.get(id=other.id).name == "other"


def test_of_many_who_want_a_name_at_once_one_gets_it(user: User) -> None:
    results = together(*[lambda: apps.create_app(user, "race")] * 6)
    assert App.objects.filter(name="race").count() == 1
    assert [type(one) for one in failures(results)] == [InvalidParams] * 5
    assert Release.objects.count() == Event.objects.filter(action="app.create").count() == 1


def test_renaming_and_creating_race_for_one_name(user: User, app: App) -> None:
    results = together(lambda: apps.rename_app(user, app, "winner"), lambda: apps.create_app(user, "winner"))
    assert App.objects.filter(name="winner").count() == 1
    assert [type(one) for one in failures(results)] == [InvalidParams]


def test_a_rename_moves_the_route_at_once(platform: Platform, live: App, user: User) -> None:
    assert platform.agent.names == {str(live.id): "shop"}
    apps.rename_app(user, live, "store")
    platform.settle()
    assert platform.agent.names == {str(live.id): "store"}
    assert platform.edge.route("store").hosts == ("store.localhost",)
    assert [one.name for one in platform.edge.route("store").backends] == ["web.1"]
    assert {app.name for app in platform.edge.table.apps} == {"store"}


def test_an_unknown_stack_is_refused_naming_those_there_are(user: User, app: App) -> None:
    for call in (
        lambda: apps.create_app(user, "other", "heroku-99"),
        lambda: apps.set_stack(user, app, "x\0"),
    ):
        with pytest.raises(InvalidParams, match="there is: debian-13"):
            call()
    Stack.objects.create(name="host")
    assert apps.set_stack(user, app, "host").stack == "host"


class TestAccess:
    def test_everybody_sees_their_own_and_what_is_shared(self, user: User, stranger: User, app: App) -> None:
        theirs = apps.create_app(stranger, "theirs")
        assert list(visible_apps(user)) == [app]
        assert list(visible_apps(stranger)) == [theirs]
        Collaborator.objects.create(app=app, user=stranger)
        assert list(visible_apps(stranger)) == [app, theirs]
        User.objects.filter(id=user.id).update(is_admin=True)
        assert list(visible_apps(User.objects.get(id=user.id))) == [app, theirs]

    def test_it_is_found_by_name_and_id_only_by_who_may(self, user: User, stranger: User, app: App) -> None:
        for identity in ("shop", "SHOP", str(app.id), str(app.id).upper(), app.id.hex):
            assert access_app(user, identity) == app
            with pytest.raises(NotFound, match="Couldn't find that app"):
                access_app(stranger, identity)

    def test_what_nobody_has_is_not_found(self, user: User) -> None:
        for identity in ("", "no", "a\0b", "\ud800", "' OR 1=1 --", "x" * 5000):
            with pytest.raises(NotFound):
                access_app(user, identity)


class TestDestroy:
    def test_only_owner_or_admin_may(self, user: User, stranger: User, app: App) -> None:
        Collaborator.objects.create(app=app, user=stranger)
        with pytest.raises(Forbidden):
            apps.destroy_app(stranger, app)
        User.objects.filter(id=stranger.id).update(is_admin=True)
        apps.destroy_app(User.objects.get(id=stranger.id), app)
        assert not App.objects.exists()

    def test_everything_goes_but_the_audit_trail(self, platform: Platform, live: App, user: User) -> None:
        deploy(user, live, "b" * 40)
        add_domain(user, live, "www.example.org")
        job = run(user, live, "sleep 99")
        platform.worker.drain()
        assert str(job.id) in platform.agent.jobs
        apps.destroy_app(user, live)
        for model in (App, Release, Slug, Build, Deployment, Instance, OneOff):
            assert not model.objects.exists(), model
        platform.settle()
        assert platform.agent.instances == {}
        assert str(job.id) in platform.agent.cancelled
        assert platform.edge.table.apps == ()
        assert Event.objects.filter(action="app.destroy", actor=user).get().data == {"name": "shop"}
        assert redis_client().keys(f"app:{live.id}:*") == []

    def test_its_repository_goes_and_nobody_elses(self, user: User, app: App) -> None:
        other = apps.create_app(user, "other")
        folders = [Path(apps.repository_path(one)) for one in (app, other)]
        for folder in folders:
            folder.mkdir(parents=True)
        apps.destroy_app(user, app)
        for one in (app, other):
            forget_app(str(one.id))
        assert [folder.exists() for folder in folders] == [False, True]
        folders[1].rmdir()

    def test_a_change_that_meets_it_is_told_that_the_app_is_gone(self, user: User, app: App) -> None:
        stale = App.objects.get(id=app.id)
        apps.destroy_app(user, app)
        for call in (
            lambda: apps.rename_app(user, stale, "other"),
            lambda: apps.set_maintenance(user, stale, True),
            lambda: apps.destroy_app(user, stale),
        ):
            with pytest.raises(NotFound, match="destroyed"):
                call()

    def test_twice_at_once_is_once(self, live: App, user: User) -> None:
        results = together(*[lambda: apps.destroy_app(user, App.objects.get(id=live.id))] * 3)
        assert all(isinstance(one, NotFound | App.DoesNotExist) for one in failures(results))
        assert len(failures(results)) == 2
        assert Event.objects.filter(action="app.destroy").count() == 1

    def test_what_its_host_should_stop_is_known_to_the_host(
        self, live: App, user: User, platform: Platform, make_host: Callable[..., Agent]
    ) -> None:
        before = Host.objects.get(id=platform.agent.host.id).generation
        other = make_host("two")
        apps.destroy_app(user, live)
        assert Host.objects.get(id=platform.agent.host.id).generation == before + 1
        assert Host.objects.get(id=other.host.id).generation == 0
