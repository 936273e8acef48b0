"""The controller's core on a real database and a real Redis; hosts and routers answer over real HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils import timezone

from paas.controller import agents
from paas.controller.models import App, Host, OneOff, Release, Router, Slug, Stack, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.redis_connection import forget_connections
from paas.controller.services import one_offs
from paas.controller.services.accounts import create_user
from paas.controller.services.apps import create_app
from paas.controller.services.releases import release_slug
from runtime.tls import CONTROLLER
from tests.integration.controller.machines import (
    GIB,
    NO_ADDRESS,
    Agent,
    Edge,
    Platform,
    Served,
    Worker,
    certified,
    serve_agent,
    serve_router,
)

PASSWORD = "a long password"


@pytest.fixture(autouse=True, scope="session")
def static_folder() -> None:
    """The set-up makes it; whitenoise warns where it is missing."""
    django_settings.STATIC_ROOT.mkdir(exist_ok=True)


@pytest.fixture(autouse=True, scope="module")
def no_permissions() -> Iterator[None]:
    """Nothing here reads permissions and content types, which the flush after each test would make anew."""
    receivers, post_migrate.receivers = post_migrate.receivers, []
    post_migrate.sender_receivers_cache.clear()
    yield
    post_migrate.receivers = receivers
    post_migrate.sender_receivers_cache.clear()


@pytest.fixture(autouse=True, scope="session")
def rows_are_deleted() -> Iterator[None]:
    """PostgreSQL makes new files for every table that it truncates, empty or not, and for every index: ten times slower
    than to delete the few rows of a test. Foreign keys are not looked at meanwhile, as all rows go."""
    before = connection.ops.sql_flush
    if on_postgresql():
        connection.ops.sql_flush = _deletions
    yield
    connection.ops.sql_flush = before


def _deletions(_style: object, tables: Sequence[str], **_options: object) -> list[str]:
    deletions = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables]
    return ["SET LOCAL session_replication_role = replica", *deletions]


@pytest.fixture(autouse=True)
def database(transactional_db: None) -> None:
    """Commits are real: hooks run, other threads see them."""


@pytest.fixture(autouse=True)
def empty_redis(redis_server: str) -> Iterator[None]:
    forget_connections()
    redis_client().flushall()
    yield
    forget_connections()


@pytest.fixture(autouse=True)
def empty_folders() -> Iterator[None]:
    yield
    for name in ("sources", "images", "repos"):
        shutil.rmtree(django_settings.PAAS.home / name, ignore_errors=True)


@pytest.fixture
def quick_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow


@pytest.fixture
def stack(database: None) -> Stack:
    return Stack.objects.create(
        name="debian-13", is_default=True, run_layers=[{"digest": "sha256:" + "5" * 64, "size": 5}]
    )


@pytest.fixture
def user(quick_hashes: None, stack: Stack) -> User:
    return create_user("ada@example.com", PASSWORD, name="Ada")


@pytest.fixture
def stranger(quick_hashes: None, stack: Stack) -> User:
    return create_user("eve@example.com", PASSWORD)


@pytest.fixture
def app(user: User) -> App:
    return create_app(user, "shop")


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture(autouse=True, scope="session")
def controllers_certificate() -> None:
    """The set-up makes it."""
    certified(CONTROLLER)


@pytest.fixture
def machines() -> Iterator[ExitStack]:
    """Servers that end with the test, and the connections to them."""
    with ExitStack() as stack:
        yield stack
        for cached in (agents._agent, agents._router):
            cached.cache_clear()


@pytest.fixture
def make_host(machines: ExitStack) -> Callable[..., Agent]:
    """Register a host with an agent that answers; `down`: one that does not."""

    def make(name: str = "one", *, down: bool = False) -> Agent:
        host = Host.objects.create(
            name=name, url=NO_ADDRESS, memory_bytes=16 * GIB, cpus=4, seen_at=timezone.now()
        )
        agent = Agent(host)
        if not down:
            _serve(machines, host, serve_agent(agent))
            machines.callback(lambda: agents.agent(host).close())
        return agent

    return make


@pytest.fixture
def make_router(machines: ExitStack) -> Callable[..., Edge]:
    def make(name: str = "edge") -> Edge:
        router = Router.objects.create(name=name, url=NO_ADDRESS, seen_at=timezone.now())
        edge = Edge(router)
        _serve(machines, router, serve_router(edge))
        machines.callback(lambda: agents.router(router).close())
        return edge

    return make


def _serve(machines: ExitStack, row: Host | Router, served: Served) -> None:
    machines.callback(served.close)
    row.url = served.url
    row.save(update_fields=["url"])


@pytest.fixture
def platform(
    make_host: Callable[..., Agent], make_router: Callable[..., Edge], worker: Worker, stack: Stack
) -> Platform:
    return Platform(make_host(), make_router(), worker)


@pytest.fixture
def live(platform: Platform, app: App, user: User) -> App:
    """An app whose first deploy serves: web=1."""
    deploy(user, app, "a" * 40)
    platform.settle()
    app.refresh_from_db()
    assert app.current_release is not None
    assert app.current_release.version == 2
    return app


def make_slug(app: App, commit: str, **process_types: str) -> Slug:
    types = process_types or {"web": "python app.py", "worker": "python work.py"}
    return Slug.objects.create(
        app=app,
        digest="sha256:" + (commit * 64)[:64],
        size=1234,
        process_types=types,
        buildpacks=[{"name": "python", "version": "3.13"}],
        commit=commit,
        stack="debian-13",
    )


def run(user: User, app: App, command: str, **options: Any) -> OneOff:
    return one_offs.run_detached(user, app, one_offs.Run(command, **options))


def deploy(user: User, app: App, commit: str, **process_types: str) -> Release:
    return release_slug(user, app, make_slug(app, commit, **process_types), f"Deploy {commit[:8]}")


def on_postgresql() -> bool:
    return connection.vendor == "postgresql"
