"""People: who may work on an app, whose it is, and what an admin does to accounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.test import Client

from paas.controller.git.port import GitRefused
from paas.controller.models import App, Collaborator, Event, Token, User
from paas.controller.selectors.access import has_access, while_allowed
from paas.controller.selectors.apps import visible_apps
from paas.controller.selectors.collaborators import members
from paas.controller.selectors.events import WORDS, describe, entry, trail
from paas.controller.services import accounts, apps, users
from paas.controller.services.collaborators import add_collaborator, remove_collaborator, transfer_app
from paas.controller.services.config import set_config
from paas.controller.services.pushes import PushBackend
from paas.errors import Conflict, Forbidden, InvalidParams, NotFound
from tests.integration.controller.conftest import PASSWORD
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration

# The literal actions in the services: events.record(user, "app.create", ...), also as "a" if ... else "b".
WORD = re.compile(
    r"(?<![\w.])\"((?:app|build|collaborator|deployment|dyno|one_off|push|release|token|user)\.[a-z]+)\""
)
WHO = ("other", "collaborator", "owner", "admin")


@pytest.fixture
def people(user: User, stranger: User, app: App) -> dict[str, User]:
    """Everybody there can be to an app."""
    made = {
        "owner": user,
        "other": stranger,
        "collaborator": accounts.create_user("cleo@example.com", PASSWORD),
        "admin": accounts.create_user("root@example.com", PASSWORD, is_admin=True),
    }
    Collaborator.objects.create(app=app, user=made["collaborator"])
    return made


def allowed(action: Callable[[], Any]) -> bool:
    try:
        action()
    except (Forbidden, App.DoesNotExist):
        return False
    return True


class TestWhoMay:
    """What each may do with an app. The doors fetch it by `visible_apps` first: others do not get so far."""

    ACTIONS: dict[str, tuple[Callable[[User, App], Any], set[str]]] = {
        "see": (lambda user, app: visible_apps(user).get(id=app.id), {"collaborator", "owner", "admin"}),
        "rename": (lambda user, app: apps.rename_app(user, app, "store"), {"owner", "admin"}),
        "destroy": (apps.destroy_app, {"owner", "admin"}),
        "add": (lambda user, app: add_collaborator(user, app, "eve@example.com"), {"owner", "admin"}),
        "remove": (
            lambda user, app: remove_collaborator(user, app, "cleo@example.com"),
            {"owner", "admin", "collaborator"},
        ),
        "transfer": (lambda user, app: transfer_app(user, app, "eve@example.com"), {"owner", "admin"}),
    }

    @pytest.mark.parametrize("who", WHO)
    @pytest.mark.parametrize("action", ACTIONS)
    def test_each(self, action: str, who: str, people: dict[str, User], app: App) -> None:
        do, may = self.ACTIONS[action]
        before = Event.objects.count()
        done = allowed(lambda: do(people[who], app))
        assert done == (who in may)
        assert (Event.objects.count() > before) == (done and action != "see")

    def test_a_collaborator_removes_nobody_else(self, people: dict[str, User], app: App) -> None:
        add_collaborator(people["owner"], app, "eve@example.com")
        with pytest.raises(Forbidden, match="only remove yourself"):
            remove_collaborator(people["collaborator"], app, "eve@example.com")
        assert len(members(app)) == 3

    def test_the_words_name_who_can(self, people: dict[str, User], app: App) -> None:
        with pytest.raises(
            Forbidden, match=r"Only the owner of shop \(ada@example.com\) or an admin can destroy"
        ):
            apps.destroy_app(people["collaborator"], app)


class TestCollaborators:
    def test_one_is_added_by_address_whatever_its_case_or_by_id(
        self, user: User, stranger: User, app: App
    ) -> None:
        assert add_collaborator(user, app, " EVE@example.com").user == stranger
        assert visible_apps(stranger).get() == app
        assert remove_collaborator(user, app, str(stranger.id)).user == stranger
        assert not visible_apps(stranger).exists()
        collaborator = add_collaborator(user, app, str(stranger.id))
        assert remove_collaborator(stranger, app, str(collaborator.id)).user == stranger

    @pytest.mark.parametrize("email", ["nobody@example.com", "", "not an address", "a\0b@example.com"])
    def test_somebody_without_an_account(self, user: User, app: App, email: str) -> None:
        with pytest.raises(NotFound):
            add_collaborator(user, app, email)
        with pytest.raises(NotFound):
            remove_collaborator(user, app, email)
        with pytest.raises(NotFound):
            transfer_app(user, app, email)

    def test_nobody_twice_and_not_the_owner(self, user: User, stranger: User, app: App) -> None:
        add_collaborator(user, app, stranger.email)
        with pytest.raises(InvalidParams, match="already"):
            add_collaborator(user, app, stranger.email)
        with pytest.raises(InvalidParams, match="owns shop"):
            add_collaborator(user, app, user.email)
        with pytest.raises(InvalidParams, match="paas transfer"):
            remove_collaborator(user, app, user.email)
        assert Collaborator.objects.count() == 1

    def test_of_two_at_once_one_is_added(self, user: User, stranger: User, app: App) -> None:
        results = together(*[lambda: add_collaborator(user, app, stranger.email)] * 4)
        assert [type(one) for one in failures(results)] == [InvalidParams] * 3
        assert Collaborator.objects.count() == 1

    def test_a_disabled_account_is_not_let_in(self, user: User, stranger: User, app: App) -> None:
        User.objects.filter(id=stranger.id).update(is_active=False)
        for change in (add_collaborator, transfer_app):
            with pytest.raises(InvalidParams, match="disabled"):
                change(user, app, stranger.email)


class TestTransfer:
    def test_the_app_changes_hands_and_the_owner_stays_on(self, user: User, stranger: User, app: App) -> None:
        add_collaborator(user, app, stranger.email)
        moved = transfer_app(user, app, stranger.email)
        assert [(one.user, one.role) for one in members(moved)] == [
            (stranger, "owner"),
            (user, "collaborator"),
        ]
        with pytest.raises(Forbidden):
            apps.destroy_app(user, moved)
        with pytest.raises(InvalidParams, match="already"):
            transfer_app(stranger, moved, stranger.email)
        transfer_app(stranger, moved, user.email)
        assert [one.user for one in members(App.objects.get())] == [user, stranger]

    def test_who_gave_it_away_meanwhile_gives_it_to_nobody_else(
        self, user: User, stranger: User, app: App
    ) -> None:
        third = accounts.create_user("tom@example.com", PASSWORD)
        results = together(
            lambda: transfer_app(user, app, stranger.email), lambda: transfer_app(user, app, third.email)
        )
        assert [type(one) for one in failures(results)] == [Forbidden]
        assert App.objects.get().owner in {stranger, third}


@pytest.fixture
def admin(quick_hashes: None, database: None) -> User:
    return accounts.create_user("root@example.com", PASSWORD, is_admin=True)


class TestAccounts:
    @pytest.mark.parametrize(
        "change",
        [
            lambda by, _: users.invite_user(by, "new@example.com"),
            lambda by, other: users.reset_password(by, other),
            lambda by, other: users.set_active(by, other, False),
            lambda by, other: users.set_admin(by, other, True),
            lambda by, other: users.delete_user(by, other),
        ],
    )
    def test_only_admins_manage_them(
        self, user: User, stranger: User, admin: User, change: Callable[[User, User], Any]
    ) -> None:
        before = sorted(User.objects.values_list("email", "is_active", "is_admin", "password"))
        for by in (user, stranger):
            with pytest.raises(Forbidden):
                change(by, stranger)
        assert sorted(User.objects.values_list("email", "is_active", "is_admin", "password")) == before
        admin.is_admin = True  # as its session still has it
        User.objects.filter(id=admin.id).update(is_admin=False)
        if change.__code__.co_varnames[1] != "_":
            with pytest.raises(Forbidden, match="no longer"):
                change(admin, stranger)

    def test_an_invitation_has_a_password_that_must_be_replaced(self, admin: User) -> None:
        made, password = users.invite_user(admin, " New@Example.com", name=" Nora ")
        assert (made.email, made.name, made.is_admin, made.password_temporary) == (
            "new@example.com",
            "Nora",
            False,
            True,
        )
        assert len(password) >= 16
        stored = "".join(serializers.serialize("json", model.objects.all()) for model in (User, Event))
        assert password not in stored
        found = accounts.authenticate_password("new@example.com", password)
        assert found == made
        with pytest.raises(InvalidParams, match="choose another"):
            accounts.change_password(found, password, password)
        accounts.change_password(found, password, "a password of mine")
        assert not User.objects.get(id=made.id).password_temporary
        with pytest.raises(Conflict):
            users.invite_user(admin, "NEW@example.com")
        assert entry(trail().get(action="user.create", data__email=made.email)).who == admin.email

    def test_a_disabled_account_stops_at_once_and_its_apps_run_on(
        self, admin: User, user: User, app: App, client: Client, tmp_path: Path
    ) -> None:
        token, plain = accounts.create_token(user)
        client.force_login(user)
        backend = PushBackend()
        pusher = backend.authenticate("git", plain)
        assert pusher is not None
        repository = backend.open_app(pusher, "shop", write=True)
        assert repository is not None and client.get("/dashboard/apps/shop").status_code == 200
        users.set_active(admin, user, False)
        assert accounts.authenticate_token(plain) is None
        assert accounts.authenticate_password(user.email, PASSWORD) is None
        assert backend.authenticate("git", plain) is None
        assert backend.open_app(pusher, "shop", write=True) is None
        assert client.get("/dashboard/apps/shop").status_code == 302
        assert not has_access(user.id, app.id)
        (tmp_path / "source.tar").write_bytes(b"x")
        with pytest.raises(GitRefused):  # a push that began before
            backend.start_build(
                pusher,
                repository,
                commit="a" * 40,
                branch="main",
                source_tar=tmp_path / "source.tar",
                message="",
                received=1,
            )
        assert App.objects.get().owner == user and not app.builds.exists()
        users.set_active(admin, user, True)
        assert accounts.authenticate_token(plain) is not None
        assert Token.objects.get() == token

    def test_a_reset_signs_browsers_out_and_keeps_tokens(
        self, admin: User, user: User, client: Client
    ) -> None:
        _, plain = accounts.create_token(user)
        client.force_login(user)
        _, password = users.reset_password(admin, user)
        assert client.get("/").status_code == 302
        assert accounts.authenticate_password(user.email, PASSWORD) is None
        found = accounts.authenticate_password(user.email, password)
        assert found is not None and found.password_temporary
        assert accounts.authenticate_token(plain) is not None

    def test_the_last_admin_stays(self, admin: User, user: User) -> None:
        for change in (
            lambda: users.set_active(admin, admin, False),
            lambda: users.set_admin(admin, admin, False),
            lambda: users.delete_user(admin, admin),
        ):
            with pytest.raises(Conflict, match="last admin"):
                change()
        second = users.set_admin(admin, user, True)
        users.set_active(second, admin, False)
        with pytest.raises(Conflict, match="last admin"):  # a disabled one does not count
            users.set_admin(second, second, False)

    def test_two_admins_who_disable_each_other_do_not_both_go(self, admin: User, user: User) -> None:
        users.set_admin(admin, user, True)
        user.refresh_from_db()
        results = together(
            lambda: users.set_active(admin, user, False), lambda: users.set_active(user, admin, False)
        )
        assert [type(one) for one in failures(results)] == [Forbidden]
        assert User.objects.filter(is_admin=True, is_active=True).count() == 1

    def test_an_account_with_apps_is_not_deleted(self, admin: User, user: User, app: App) -> None:
        with pytest.raises(Conflict, match="owns apps"):
            users.delete_user(admin, user)
        assert User.objects.filter(id=user.id).exists()
        assert not Event.objects.filter(action="user.delete").exists()

    def test_what_a_deleted_account_did_stays_readable(
        self, admin: User, user: User, stranger: User, app: App
    ) -> None:
        add_collaborator(user, app, stranger.email)
        set_config(stranger, app, {"A": "1"})
        accounts.create_token(stranger)
        users.delete_user(admin, stranger)
        assert not Token.objects.exists() and len(members(app)) == 1
        by_them = [entry(event) for event in trail(app, "eve@")]
        assert [(one.who, one.what) for one in by_them] == [
            ("eve@example.com", "changed config vars: v2"),
            ("ada@example.com", "added eve@example.com as a collaborator"),
        ]
        with pytest.raises(NotFound):
            users.set_active(admin, stranger, True)


class TestTrail:
    def test_what_happened_to_an_app_that_is_gone_stays(self, user: User, stranger: User, app: App) -> None:
        add_collaborator(user, app, stranger.email)
        apps.rename_app(user, app, "store")
        apps.destroy_app(user, app)
        told = [(one.what, one.app, one.link) for one in map(entry, trail(search="sto"))]
        assert told == [
            ("destroyed the app store", "store", ""),
            ("renamed the app from shop to store", "store", ""),
        ]
        assert len(trail(search="shop")) >= 2

    def test_values_are_not_in_it(self, user: User, app: App) -> None:
        set_config(user, app, {"SECRET": "hunter2"})
        _, plain = accounts.create_token(user, "laptop")
        told = " ".join(f"{one.what} {one.who}" for one in map(entry, trail()))
        assert "changed config vars: v2" in told and "laptop" in told
        assert "hunter2" not in told and plain not in told

    def test_every_action_that_is_recorded_has_words(self) -> None:
        source = Path(apps.__file__).parent
        recorded = {word for file in source.glob("*.py") for word in WORD.findall(file.read_text())}
        assert len(recorded) > 20
        assert not recorded - set(WORDS), "say in selectors/events.py what these are called"

    @pytest.mark.parametrize("action", WORDS)
    def test_words_do_without_what_old_events_lack(self, action: str) -> None:
        assert describe(action, "x", {})

    def test_an_action_without_words_is_named(self) -> None:
        assert describe("disk.grow_more", "data", {}) == "disk grow more data"


def test_a_stream_ends_when_its_reader_loses_the_app(user: User, stranger: User, app: App) -> None:
    add_collaborator(user, app, stranger.email)
    lines = (number for number in range(10))
    seen = []
    for number in while_allowed(lines, stranger.id, app.id, every=0):
        seen.append(number)
        if number == 3:
            remove_collaborator(user, app, stranger.email)
    assert seen == [0, 1, 2, 3]
    assert next(lines, None) is None, "what is behind it was closed"
