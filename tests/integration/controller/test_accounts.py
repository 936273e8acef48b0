"""Accounts and tokens: only hashes are kept, and what is over opens nothing."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import serializers
from django.utils import timezone

from paas.controller.models import Event, Token, User
from paas.controller.services import accounts
from paas.errors import Conflict, InvalidParams, NotFound, Unauthorized
from tests.integration.controller.conftest import PASSWORD
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def everything(*models: type) -> str:
    return "".join(serializers.serialize("json", model.objects.all()) for model in models)


def test_a_password_is_kept_as_a_slow_hash_only(database: None) -> None:
    user = accounts.create_user("Ada@Example.com", PASSWORD)
    assert user.email == "ada@example.com"
    assert user.password.startswith("scrypt$")
    assert PASSWORD not in everything(User, Event)
    assert accounts.authenticate_password(" ADA@example.com ", PASSWORD) == user
    assert accounts.authenticate_password("ada@example.com", PASSWORD + " ") is None
    assert accounts.authenticate_password("nobody@example.com", PASSWORD) is None


@pytest.mark.usefixtures("quick_hashes")
class TestAccounts:
    def test_what_is_no_address_is_refused(self) -> None:
        long = f"{'a' * 250}@example.com"
        for email in ("", "ada", "a b@localhost", "@localhost", "a\n@localhost", "a@b@example.com", long):
            with pytest.raises(InvalidParams, match="e-mail address"):
                accounts.create_user(email, PASSWORD)
        assert not User.objects.exists()

    def test_addresses_that_can_be_used(self) -> None:
        for email in ("admin@localhost", "Ada.B+paas@example.com", "a@b.de"):
            assert accounts.create_user(email, PASSWORD).email == email.lower()

    def test_what_is_no_password_is_refused(self) -> None:
        for password in ("", "seven77", "nul\0in the middle", "half a pair \ud800"):
            with pytest.raises(InvalidParams):
                accounts.create_user("ada@example.com", password)

    def test_an_address_is_taken_once_whatever_its_case(self, user: User) -> None:
        with pytest.raises(Conflict):
            accounts.create_user("ADA@example.com", PASSWORD)

    def test_two_people_cannot_take_one_address_at_once(self) -> None:
        results = together(*[lambda: accounts.create_user("x@example.com", PASSWORD)] * 4)
        assert User.objects.filter(email="x@example.com").count() == 1
        assert [type(one) for one in failures(results)] == [Conflict] * 3

    def test_a_password_is_changed_by_who_knows_the_old_one(self, user: User) -> None:
        with pytest.raises(Unauthorized):
            accounts.change_password(user, "guessed wrong", "another password")
        assert accounts.authenticate_password(user.email, PASSWORD)
        accounts.change_password(user, PASSWORD, "another password")
        assert accounts.authenticate_password(user.email, PASSWORD) is None
        assert accounts.authenticate_password(user.email, "another password") == user
        assert "another password" not in everything(Event)

    def test_text_that_no_database_takes_is_just_wrong(self, user: User) -> None:
        for text in ("\0", "a\0b", "\ud800"):
            assert accounts.authenticate_password(text, PASSWORD) is None
            assert accounts.authenticate_password(user.email, text) is None
            assert accounts.authenticate_token(text) is None
            token, _ = accounts.create_token(user, text)
            accounts.describe_token(user, token, text)
            accounts.change_name(user, text)

    def test_a_disabled_account_opens_nothing(self, user: User) -> None:
        _, plain = accounts.create_token(user)
        User.objects.filter(id=user.id).update(is_active=False)
        assert accounts.authenticate_token(plain) is None
        assert accounts.authenticate_password(user.email, PASSWORD) is None


class TestTokens:
    def test_the_plain_token_is_nowhere(self, user: User, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        token, plain = accounts.create_token(user, "laptop")
        assert accounts.authenticate_token(plain) == (user, token)
        assert len(plain) > 40
        assert plain not in everything(Token, Event, User) + caplog.text
        assert plain.removeprefix("paas_") not in everything(Token, Event)

    def test_a_wrong_token_opens_nothing(self, user: User) -> None:
        _, plain = accounts.create_token(user)
        for wrong in ("", "paas_", "x" * 1000, "paas_é"):
            assert accounts.authenticate_token(wrong) is None
        assert accounts.authenticate_token(plain[:-1]) is None
        assert accounts.authenticate_token(plain + " ") is None

    def test_its_digest_does_not_open_anything(self, user: User) -> None:
        token, _ = accounts.create_token(user)
        assert accounts.authenticate_token(token.digest) is None

    def test_one_that_has_expired_opens_nothing(self, user: User) -> None:
        token, plain = accounts.create_token(user, expires_in=60)
        assert accounts.authenticate_token(plain)
        Token.objects.filter(id=token.id).update(expires_at=timezone.now() - timedelta(microseconds=1))
        assert accounts.authenticate_token(plain) is None

    def test_a_life_that_makes_no_sense_is_refused(self, user: User) -> None:
        for seconds in (0, -1, 10**9, 10**18):
            with pytest.raises(InvalidParams, match="expire"):
                accounts.create_token(user, expires_in=seconds)
        assert not Token.objects.exists()

    def test_it_is_revoked_by_its_owner_only(self, user: User, stranger: User) -> None:
        token, plain = accounts.create_token(user)
        with pytest.raises(NotFound):
            accounts.revoke_token(stranger, token.id)
        assert accounts.authenticate_token(plain)
        assert accounts.revoke_token(user, str(token.id)).id == token.id
        assert accounts.authenticate_token(plain) is None
        for gone in (token.id, uuid4(), "no id at all", ""):
            with pytest.raises(NotFound):
                accounts.revoke_token(user, gone)

    def test_its_last_use_is_noted_at_most_once_a_minute(self, user: User, django_assert_num_queries) -> None:
        token, plain = accounts.create_token(user)
        accounts.authenticate_token(plain)
        with django_assert_num_queries(1):
            accounts.authenticate_token(plain)
        token.refresh_from_db()
        assert timezone.now() - token.last_used_at < timedelta(seconds=20)

    def test_every_change_is_an_event(self, user: User) -> None:
        token, _ = accounts.create_token(user, "laptop")
        accounts.revoke_token(user, token.id)
        actions = list(Event.objects.filter(actor=user).order_by("id").values_list("action", "resource"))
        assert actions[-2:] == [("token.create", str(token.id)), ("token.revoke", str(token.id))]
        assert json.dumps(Event.objects.get(action="token.create").data) == '{"description": "laptop"}'
