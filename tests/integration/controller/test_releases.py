"""Releases: numbered without gaps, frozen, diffable, and a way back."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from paas.controller.models import App, Deployment, Release, Stack, User
from paas.controller.selectors.config import config_vars, release_config
from paas.controller.selectors.releases import diff, find_release, newest_release
from paas.controller.services.apps import create_app
from paas.controller.services.config import set_config
from paas.controller.services.domains import add_domain
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.releases import release_slug, rollback
from paas.errors import InvalidParams, NotFound
from runtime.model import InstanceState
from tests.integration.controller.conftest import deploy, make_slug
from tests.integration.controller.machines import Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


class TestImmutable:
    def test_it_cannot_be_saved_again(self, app: App) -> None:
        release = app.releases.get()
        release.formation = {"web": {"command": "evil", "quantity": 9, "size": "standard-1x"}}
        with pytest.raises(TypeError, match="immutable"):
            release.save()
        with pytest.raises(TypeError, match="immutable"):
            release.save(update_fields=["formation"])
        assert app.releases.get().formation == {}

    @pytest.mark.parametrize(
        "field", ["formation", "config_encrypted", "slug", "version", "stack_layers", "domains", "app"]
    )
    def test_no_query_changes_what_it_is(self, app: App, field: str) -> None:
        with pytest.raises(TypeError, match=field):
            Release.objects.filter(app=app).update(**{field: None})
        with pytest.raises(TypeError, match="immutable"):
            Release.objects.bulk_update(list(Release.objects.all()), [field])
        with pytest.raises(TypeError, match=field):
            app.releases.update(**{field: None})

    def test_how_it_went_can_be_told(self, app: App) -> None:
        assert Release.objects.filter(app=app).update(status="failed", message="no", output="...") == 1

    def test_a_number_is_given_once(self, app: App) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Release.objects.create(app=app, version=1, kind="config", stack="x", config_encrypted=b"")


def test_numbers_have_no_gaps_whoever_changes_what(live: App, user: User) -> None:
    calls = [lambda n=n: set_config(user, live, {f"A{n}": "1"}) for n in range(3)]
    calls += [lambda: scale(user, live, [FormationUpdate("web", "+1")]) for _ in range(3)]
    calls += [lambda n=n: add_domain(user, live, f"www{n}.example.org") for n in range(2)]
    assert failures(together(*calls)) == []
    assert list(live.releases.values_list("version", flat=True)) == list(range(1, 11))
    newest = newest_release(live)
    assert newest is not None
    assert set(release_config(newest)) == {"A0", "A1", "A2"}
    assert newest.formation["web"]["quantity"] == 4
    assert newest.domains == ["www0.example.org", "www1.example.org"]
    assert Deployment.objects.filter(app=live, status="active").count() == 1


def test_a_number_is_never_used_again(platform: Platform, live: App, user: User) -> None:
    platform.agent.obeys = crash
    deploy(user, live, "b" * 40)
    platform.settle()
    assert live.releases.get(version=3).status == "failed"
    set_config(user, live, {"A": "1"})
    assert newest_release(live).version == 4


def crash(spec: object) -> InstanceState:
    return InstanceState.CRASHED


def test_the_next_change_builds_on_the_newest_that_has_not_failed(
    platform: Platform, live: App, user: User
) -> None:
    platform.agent.obeys = lambda spec: (
        InstanceState.CRASHED if spec.container.rootfs.layers[0].digest[7] == "b" else InstanceState.UP
    )
    deploy(user, live, "b" * 40)
    platform.settle()
    assert live.releases.get(version=3).status == "failed"
    release = set_config(user, live, {"A": "1"})
    assert release is not None
    assert release.slug_id == live.releases.get(version=2).slug_id


def test_finding_one(live: App, user: User) -> None:
    release = live.releases.get(version=2)
    for identity in ("v2", "V2", "2", 2, " v2 ", "current", str(release.id), str(release.id).upper()):
        assert find_release(live, identity) == release
    for identity in ("v3", "0", "-1", "v", "", "²", "v²", "99999999999", "9" * 40, "no", "a\0b", "\ud800"):
        with pytest.raises(NotFound, match="Couldn't find release"):
            find_release(live, identity)


def test_a_release_of_another_app_is_not_found(live: App, user: User) -> None:
    other = create_app(user, "other")
    with pytest.raises(NotFound):
        find_release(other, str(live.releases.get(version=2).id))


def test_what_differs(live: App, user: User) -> None:
    set_config(user, live, {"A": "1", "B": "2"})
    set_config(user, live, {"A": "x", "B": None, "C": "3"})
    scale(user, live, [FormationUpdate("web", 2)])
    add_domain(user, live, "www.example.org")
    deploy(user, live, "b" * 40)
    first, last = find_release(live, 3), find_release(live, 7)
    found = diff(first, last)
    assert found.config == {"A": "changed", "B": "removed", "C": "added"}
    assert found.formation == {"web": ("1 × standard-1x: python app.py", "2 × standard-1x: python app.py")}
    assert found.domains == {"www.example.org": "added"}
    assert found.code == (f"{'a' * 12} sha256:{'a' * 12}", f"{'b' * 12} sha256:{'b' * 12}")
    assert not found.empty
    assert diff(last, last).empty
    assert diff(last, first).config == {"A": "changed", "B": "added", "C": "removed"}


class TestRollback:
    def test_it_brings_back_image_config_and_formation(
        self, platform: Platform, live: App, user: User
    ) -> None:
        set_config(user, live, {"A": "1"})
        scale(user, live, [FormationUpdate("web", 2)])
        platform.settle()
        good = find_release(live, 4)
        deploy(user, live, "b" * 40)
        set_config(user, live, {"A": "2", "B": "new"})
        scale(user, live, [FormationUpdate("web", 1, "standard-2x")])
        platform.settle()
        release = rollback(user, live, good)
        assert (release.version, release.description) == (8, "Rollback to v4")
        platform.settle()
        live.refresh_from_db()
        assert live.current_release == release
        assert diff(good, release).empty
        assert config_vars(live) == {"A": "1"}
        specs = list(platform.agent.wanted.values())
        assert {spec.container.rootfs.layers[0].digest for spec in specs} == {good.slug.digest}
        assert [spec.container.env["A"] for spec in specs] == ["1", "1"]
        assert len(platform.edge.route("shop").backends) == 2

    def test_the_stack_comes_back_as_it_was(self, live: App, user: User) -> None:
        Stack.objects.filter(name="debian-13").update(
            run_layers=[{"digest": "sha256:" + "6" * 64, "size": 6}]
        )
        deploy(user, live, "b" * 40)
        release = rollback(user, live, find_release(live, 2))
        assert release.stack_layers == find_release(live, 2).stack_layers
        assert release.stack_layers != find_release(live, 3).stack_layers

    def test_to_one_that_failed(self, platform: Platform, live: App, user: User) -> None:
        stale = deploy(user, live, "b" * 40)
        platform.agent.obeys = crash
        platform.settle()
        assert stale.status == "pending", "the caller's copy does not know yet"
        with pytest.raises(InvalidParams, match="v3 was never live"):
            rollback(user, live, stale)

    def test_to_one_without_code(self, live: App, user: User) -> None:
        with pytest.raises(InvalidParams, match="v1 has no code"):
            rollback(user, live, find_release(live, 1))

    def test_to_one_of_another_app(self, live: App, user: User) -> None:
        other = create_app(user, "other")
        with pytest.raises(InvalidParams, match="another app"):
            rollback(user, other, find_release(live, 2))
        assert other.releases.count() == 1

    def test_two_at_once_are_two_releases(self, live: App, user: User) -> None:
        target = find_release(live, 2)
        results = together(*[lambda: rollback(user, live, target)] * 3)
        assert sorted(one.version for one in results) == [3, 4, 5]


def test_a_slug_of_another_app_is_refused(live: App, user: User) -> None:
    other = create_app(user, "other")
    with pytest.raises(InvalidParams, match="not one of other"):
        release_slug(user, other, live.slugs.get(), "Deploy")


def test_code_for_a_stack_that_is_gone_is_refused(app: App, user: User) -> None:
    slug = make_slug(app, "a" * 40)
    Stack.objects.all().delete()
    with pytest.raises(InvalidParams, match="debian-13.* is gone"):
        release_slug(user, app, slug, "Deploy")
    assert app.releases.count() == 1
