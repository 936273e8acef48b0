"""Browsers without a screen: Django's client, signed in as somebody.

In: the test database.  Out: users, clients, an app that has been deployed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from paas.controller.models import App, User
from tests.e2e.dashboard import seed

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _quick_and_fresh(settings: Any) -> None:
    """Passwords hash in no time, nobody has guessed any, and the folder of static files exists."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    (settings.PAAS.home / "static").mkdir(parents=True, exist_ok=True)
    cache.clear()


@pytest.fixture
def user(db: None) -> User:
    return seed.make_user("ines@example.com")


@pytest.fixture
def other(db: None) -> User:
    return seed.make_user("otto@example.com")


@pytest.fixture
def admin(db: None) -> User:
    return seed.make_user("root@example.com", admin=True)


@pytest.fixture
def client_of() -> Callable[..., Client]:
    def make(user: User | None, **options: Any) -> Client:
        client = Client(**options)
        if user is not None:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def client(user: User, client_of: Callable[..., Client]) -> Client:
    return client_of(user)


def deployed(owner: User, name: str = "shop") -> App:
    """An app with code, a config change after it, and one web instance up."""
    app = seed.make_app(owner, name)
    seed.make_release(app, "initial", "Initial release", timedelta(days=3), config={})
    slug = seed.make_slug(app, "7d1f0a93b1c2", "First")
    web = {"web": {"command": "serve", "quantity": 1, "size": "standard-1x"}}
    seed.make_release(
        app, "deploy", "Deploy 7d1f0a93", timedelta(days=2), slug, formation=web, config={"A": "1"}
    )
    current = seed.make_release(
        app,
        "config",
        "Set SECRET config vars",
        timedelta(days=1),
        slug,
        formation=web,
        config={"A": "1", "SECRET": "hunter2"},
    )
    seed.make_deployment(current, timedelta(days=1))
    seed.make_instance(current, seed.make_host(f"host-of-{name}"), "web", 1, "up", timedelta(hours=2))
    return app


@pytest.fixture
def shop(user: User) -> App:
    return deployed(user)
