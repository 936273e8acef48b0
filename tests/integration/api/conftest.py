"""A caller of the API: real views, real services, a real database and a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from paas import authority
from paas.controller.models import App, Host, Slug, Stack, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.redis_connection import forget_connections
from paas.controller.services.accounts import create_token, create_user
from paas.controller.services.apps import create_app
from paas.controller.services.planning import reconcile_app
from paas.controller.services.releases import release_slug
from runtime.tls import CONTROLLER

PASSWORD = "a long password"
ACCEPT = "application/vnd.heroku+json; version=3.sdk"


@pytest.fixture(autouse=True, scope="session")
def controllers_certificate() -> None:
    """The set-up makes it; hosts that do not answer are asked with it all the same."""
    files = django_settings.PAAS.credentials("controller")
    authority.ensure_machine(files.authority.parent, files.machine, CONTROLLER, authority.now())


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Any


@dataclass(frozen=True)
class Api:
    """Calls as one account."""

    user: User
    token: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", "Accept": ACCEPT}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, str | bytes) else json.dumps(body) if body is not None else ""
        response = Client().generic(
            method,
            path,
            content,
            content_type="application/json",
            headers={k: v for k, v in sent.items() if v},
        )
        assert response.headers["Content-Type"] == "application/json", response.content[:300]
        return Answer(response.status_code, json.loads(response.content), response.headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("DELETE", path, body, **headers)


@pytest.fixture(autouse=True, scope="session")
def static_folder() -> None:
    """The set-up makes it; whitenoise warns where it is missing."""
    django_settings.STATIC_ROOT.mkdir(exist_ok=True)


@pytest.fixture(autouse=True)
def empty_redis(redis_server: str) -> Iterator[None]:
    forget_connections()
    redis_client().flushall()
    cache.clear()
    yield
    forget_connections()


@pytest.fixture
def stack(db: None, settings: Any) -> Stack:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # the real one is slow by design
    return Stack.objects.create(name="host", is_default=True)


def make_api(email: str, **fields: Any) -> Api:
    user = create_user(email, PASSWORD, **fields)
    return Api(user, create_token(user, "tests")[1])


@pytest.fixture
def api(stack: Stack) -> Api:
    return make_api("ada@example.com", name="Ada")


@pytest.fixture
def stranger(stack: Stack) -> Api:
    return make_api("eve@example.com")


@pytest.fixture
def app(api: Api) -> App:
    return create_app(api.user, "shop")


@pytest.fixture
def deployed(app: App, api: Api) -> App:
    """An app with code, one release of it planned onto a host."""
    Host.objects.create(
        name="one", url="http://127.0.0.1:1", memory_bytes=8 * 1024**3, cpus=2, seen_at=timezone.now()
    )
    deploy(app, api, "a" * 40)
    reconcile_app(app.id)
    app.refresh_from_db()
    return app


def deploy(app: App, api: Api, commit: str) -> None:
    slug = Slug.objects.create(
        app=app,
        digest="sha256:" + commit[:1] * 64,
        size=1234,
        process_types={"web": "python app.py", "worker": "python work.py"},
        buildpacks=[{"name": "python", "version": "3.13"}],
        commit=commit,
        stack="host",
    )
    release_slug(api.user, app, slug, f"Deploy {commit[:8]}")
