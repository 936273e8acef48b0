"""The account and the token that the start of the platform needs, whatever became of the first account."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from paas.configuration import Configuration
from paas.controller.management.commands.setup_platform import ensure_credentials
from paas.controller.models import Token, User
from paas.controller.services import accounts, users
from tests.integration.controller.conftest import PASSWORD

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_hashes")]


@pytest.fixture
def configuration(short_folder: Path) -> Configuration:
    return replace(settings.PAAS, home=short_folder, admin_email="Root@example.com")


def start(configuration: Configuration) -> Any:
    """Do what a start does; what it keeps."""
    ensure_credentials(configuration)
    file = configuration.home / "credentials.json"
    assert file.stat().st_mode & 0o777 == 0o600
    return json.loads(file.read_text())


def test_the_first_account_is_made_once(configuration: Configuration) -> None:
    made = start(configuration)
    assert accounts.authenticate_password("root@example.com", made["admin_password"]) == User.objects.get()
    assert accounts.authenticate_token(made["token"]) == (User.objects.get(), Token.objects.get())
    assert start(configuration) == made
    assert Token.objects.count() == 1


def test_a_password_that_was_changed_is_not_kept(configuration: Configuration) -> None:
    made = start(configuration)
    accounts.change_password(User.objects.get(), made["admin_password"], PASSWORD)
    assert start(configuration) == {**made, "admin_password": ""}


@pytest.mark.parametrize("end", ["disable", "demote", "delete"])
def test_an_account_that_had_to_go_stays_gone(configuration: Configuration, end: str) -> None:
    made = start(configuration)
    second = accounts.create_user("second@example.com", PASSWORD, is_admin=True)
    accounts.create_user("third@example.com", PASSWORD)
    first = User.objects.get(email="root@example.com")
    if end == "delete":
        users.delete_user(second, first)
    else:
        (users.set_active if end == "disable" else users.set_admin)(second, first, False)
    after = start(configuration)
    assert (after["admin_email"], after["admin_password"]) == ("second@example.com", "")
    assert accounts.authenticate_token(after["token"]) == (second, Token.objects.get(user=second))
    assert after["token"] != made["token"]
    assert not User.objects.filter(email="root@example.com", is_admin=True, is_active=True).exists()
    assert start(configuration) == after
