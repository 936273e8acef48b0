"""Rows for the dashboard's tests: what a platform looks like after a few deploys.

In: an empty database.  Out: users, hosts and apps in every state that the pages show.
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import django
from django.conf import settings
from django.utils import timezone

if __name__ == "__main__":
    django.setup()

from paas import authority
from paas.controller.encryption import encrypt_config
from paas.controller.models import (
    App,
    Build,
    BuildLog,
    Crash,
    CronJob,
    Deployment,
    Domain,
    HookRecord,
    Host,
    Instance,
    Network,
    NetworkMember,
    OneOff,
    Release,
    Router,
    RouteVersion,
    Slug,
    Source,
    Stack,
    User,
    Volume,
)
from paas.controller.services import accounts, build_output, logs, sources
from runtime.tls import CONTROLLER

PASSWORD = "correct horse battery"
GIB = 1024**3
CONFIG = {
    "DATABASE_URL": "postgres://shop:s3cret@db.internal:5432/shop",
    "SECRET_KEY": "d41d8cd98f00b204e9800998ecf8427e",
    "TLS_KEY": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n",
    "WEB_CONCURRENCY": "4",
}
FORMATION = {
    "web": {
        "command": "gunicorn shop.wsgi --bind 0.0.0.0:$PORT --workers 4",
        "quantity": 3,
        "size": "standard-1x",
    },
    "worker": {"command": "celery -A shop worker --loglevel info", "quantity": 1, "size": "standard-2x"},
    "clock": {"command": "python -m shop.clock", "quantity": 0, "size": "standard-1x"},
}


def make_user(email: str, *, admin: bool = False) -> User:
    return accounts.create_user(email, PASSWORD, is_admin=admin)


def make_stack() -> Stack:
    return Stack.objects.get_or_create(name="debian-13", defaults={"is_default": True})[0]


def make_host(name: str, seen: datetime | None = None, **fields: Any) -> Host:
    return Host.objects.create(
        name=name,
        url="http://127.0.0.1:9",
        memory_bytes=8 * GIB,
        cpus=4,
        seen_at=seen or timezone.now() + timedelta(hours=1),
        **fields,
    )


def make_app(owner: User, name: str, **fields: Any) -> App:
    return App.objects.create(name=name, owner=owner, stack=make_stack().name, **fields)


def make_slug(app: App, commit: str, message: str) -> Slug:
    return Slug.objects.create(
        app=app,
        digest=f"sha256:{uuid4().hex}{uuid4().hex}",
        size=34_000_000,
        process_types={type_: entry["command"] for type_, entry in FORMATION.items()},
        commit=commit,
        commit_message=message,
        stack=app.stack,
    )


def make_release(
    app: App, kind: str, description: str, ago: timedelta, slug: Slug | None = None, **fields: Any
) -> Release:
    """Make the next release; config and formation follow the arguments."""
    app.version_counter += 1
    config = fields.pop("config", CONFIG)
    release = Release.objects.create(
        app=app,
        version=app.version_counter,
        kind=kind,
        description=description,
        user=app.owner,
        slug=slug,
        stack=app.stack,
        config_encrypted=encrypt_config(config),
        **{"formation": FORMATION if slug else {}, "status": "succeeded", **fields},
    )
    Release.objects.filter(id=release.id).update(created_at=timezone.now() - ago)
    if release.status == "succeeded":
        app.current_release = release
    app.save()
    return release


def make_instance(
    release: Release, host: Host, type_: str, number: int, state: str, ago: timedelta, **fields: Any
) -> Instance:
    since = timezone.now() - ago
    return Instance.objects.create(
        app=release.app,
        release=release,
        process_type=type_,
        number=number,
        template="t",
        host=host,
        spec=b"",
        wanted_since=since,
        state_since=since,
        state=state,
        reason="seeded",
        **fields,
    )


def make_deployment(release: Release, ago: timedelta, status: str = "succeeded", **fields: Any) -> Deployment:
    at = timezone.now() - ago
    ended = None if status == "active" else at
    live = at if status == "succeeded" else None
    values = {"phase": "done", "timings": {"release": 0.62, "start": 1.31, "cutover": 0.09, "drain": 0.4}}
    values |= fields
    deployment = Deployment.objects.create(
        app=release.app,
        release=release,
        status=status,
        phase_since=at,
        finished_at=ended,
        live_at=live,
        **values,
    )
    Deployment.objects.filter(id=deployment.id).update(created_at=at)
    return deployment


def make_crashes(app: App, out_of_memory: dict[str, Any], minute: timedelta) -> None:
    now = timezone.now()
    lines = {
        "head": ["[INFO] celery@worker.1 ready."],
        "tail": ["[INFO] Task shop.tasks.export[77a] received"],
    }
    trace = [
        "Traceback (most recent call last):",
        '  File "/app/shop/search.py", line 4, in <module>',
        "    from rapidfuzz import fuzz",
        "ModuleNotFoundError: No module named 'rapidfuzz'",
    ]
    kinds = (
        ("worker.1", out_of_memory | lines),
        ("web.1", {"reason": "exited", "code": 1, "at": 0.0, "tail": trace}),
    )
    for number, (dyno, exit_) in enumerate(kinds, 1):
        at = now - number * 4 * minute
        Crash.objects.create(
            app=app, instance=uuid4(), run=number, dyno=dyno, version=7, host="tundra", exit=exit_,
            started_at=at - minute, at=at,
        )  # fmt: skip


def make_build(
    app: App,
    status: str,
    ago: timedelta,
    commit: str,
    subject: str,
    release: Release | None = None,
    **fields: Any,
) -> Build:
    at = timezone.now() - ago
    build = Build.objects.create(
        app=app,
        user=app.owner,
        status=status,
        commit=commit,
        commit_message=subject,
        source_file="",
        slug=release.slug if release else None,
        release=release,
        stack=app.stack,
        started_at=at if status != "pending" else None,
        finished_at=at if status not in {"pending", "building"} else None,
        **{
            "timings": {"queue": 0.02, "fetch": 0.08, "build": 2.14, "package": 0.31, "upload": 0.05},
            **fields,
        },
    )
    Build.objects.filter(id=build.id).update(created_at=at)
    return build


OUTPUT = """-----> Building on debian-13
-----> Python app detected
       Using Python 3.13.5 (debian-13 has it)
-----> Installing requirements with uv
       Resolved 23 packages in 41ms
       Installed 23 packages in 118ms
        + django==5.2.4
        + gunicorn==23.0.0
        + celery==5.5.3
-----> $ python manage.py collectstatic --noinput
       131 static files copied to '/app/staticfiles'.
-----> Discovering process types
       Procfile declares types: web, worker, clock, release
-----> Packaging
       Slug: 34.0 MB, sha256:9f2b41c07d55
-----> Launching
       Released v12"""


def a_platform() -> dict[str, Any]:
    """Make everything; the things that tests ask for, by name."""
    minute, hour, day = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
    admin, other = make_user("maya@example.com", admin=True), make_user("omar@example.com")
    RouteVersion.objects.get_or_create(id=1, defaults={"version": 41})
    RouteVersion.objects.filter(id=1).update(version=41)
    one, two = make_host("fjord"), make_host("tundra")
    make_host("marsh", seen=timezone.now() - 2 * hour, cordoned=True)
    Router.objects.create(name="edge-1", url="http://127.0.0.1:9", applied=41, seen_at=timezone.now() + hour)
    shop = _shop(admin, one, two, minute, hour, day)
    _docs(admin, one, hour, day)
    api = _api(other, one, hour)
    _jobs(admin, two, minute)
    fresh = make_app(admin, "field-notes")
    make_release(fresh, "initial", "Initial release", minute, config={})
    accounts.create_token(admin, "laptop")
    accounts.create_token(admin, "ci", expires_in=90 * 86400)
    return {"admin": admin, "other": other, "shop": shop, "api": api, "fresh": fresh}


def _shop(owner: User, one: Host, two: Host, minute: timedelta, hour: timedelta, day: timedelta) -> App:
    shop = make_app(owner, "shop")
    Domain.objects.create(app=shop, hostname="www.shop.example")
    make_release(shop, "initial", "Initial release", 9 * day, config={})
    old = make_slug(shop, "7d1f0a93b1c2", "Cart keeps its items after login")
    small = {**FORMATION, "web": {**FORMATION["web"], "quantity": 1}}
    make_release(shop, "deploy", "Deploy 7d1f0a93", 9 * day, old, formation=small, config={})
    make_release(shop, "config", "Set DATABASE_URL, SECRET_KEY config vars", 8 * day, old, formation=small)
    make_release(shop, "formation", "Scale web=3:standard-1x", 5 * day, old)
    broken = make_slug(shop, "c90e51d2aa07", "Faster search")
    make_release(
        shop,
        "deploy",
        "Deploy c90e51d2",
        5 * hour,
        broken,
        status="failed",
        message="web.1 exited with status 1 before it was up: ModuleNotFoundError: No module named 'rapidfuzz'",
    )
    make_build(
        shop, "failed", 2 * hour, "41b6cf0e9d31", "Pin Pillow", error_id="build_failed",
        message="requirements.txt cannot be resolved: there is no version of pillow==99.0",
    )  # fmt: skip
    slug = make_slug(shop, "e3a94bd5510f", "Search forgives typing errors")
    current = make_release(shop, "deploy", "Deploy e3a94bd5", 12 * minute, slug)
    Volume.objects.create(app=shop, host=one, name="uploads", size_bytes=20 * GIB)
    App.objects.filter(id=shop.id).update(egress=["*.payments.example:443/tcp", "203.0.113.0/24:443/tcp"])
    backend = Network.objects.create(name="backend", owner=owner)
    Network.objects.create(name="reports", owner=owner, internal=True)
    NetworkMember.objects.create(network=backend, app=shop, aliases=["store", "catalogue"])
    build = make_build(shop, "succeeded", 13 * minute, slug.commit, slug.commit_message, current)
    BuildLog.objects.create(build=build, text=OUTPUT)
    make_deployment(current, 12 * minute)
    _connect(shop, build, minute)
    make_schedule(current, one, minute)
    for number, host in enumerate((one, two, one), 1):
        make_instance(current, host, "web", number, "up", 12 * minute)
    exit_info = {"reason": "oom", "code": 137, "signal": 9, "at": 0.0, "message": ""}
    make_crashes(shop, exit_info, minute)
    make_instance(current, two, "worker", 1, "up", 3 * minute, restarts=2, last_exit=exit_info)
    OneOff.objects.create(
        app=shop, release=current, host=one, name="run.4711", command="python manage.py reindex --all",
        size="standard-1x", spec=b"", state="running",
    )  # fmt: skip
    return shop


def _connect(app: App, build: Build, minute: timedelta) -> None:
    """A private repository by ssh, and what its hooks said."""
    source, _ = sources.connect(app.owner, app, sources.Repository("git@git.example.com:acme/shop.git"))
    Source.objects.filter(id=source.id).update(host_keys="git.example.com ssh-ed25519 AAAA")
    told = (
        ("ping", "", "", "pong", None),
        ("push", "search", "9" * 40, f"ignored: {app.name} is built from main", None),
        ("push", "main", build.commit, "a build was started", build),
        ("unsigned", "", "", "The hook is not signed with this app's secret: copy it again.", None),
    )
    for number, (kind, branch, commit, words, made) in enumerate(told):
        HookRecord.objects.create(
            source=source, kind=kind, branch=branch, commit=commit, words=words, build=made,
            at=timezone.now() - (20 - 5 * number) * minute,
        )  # fmt: skip


def make_schedule(release: Release, host: Host, minute: timedelta) -> None:
    """Two scheduled commands, of which one has run, well and badly."""
    entries = [
        {"command": "python manage.py clearsessions", "schedule": "*/10 * * * *", "policy": "forbid"},
        {"command": "bin/report --to sales@example.com --since yesterday --format pdf", "schedule": "@daily"},
    ]
    assert release.slug is not None
    Slug.objects.filter(id=release.slug.id).update(declared={"cron": entries})
    for number, entry in enumerate(entries):
        CronJob.objects.create(
            app=release.app, number=number, schedule=entry["schedule"], command=entry["command"],
            next_at=timezone.now() + 7 * minute,
        )  # fmt: skip
    for number, code in enumerate((0, 1, None)):
        at = timezone.now() - (23 - 10 * number) * minute
        done = OneOff.objects.create(
            app=release.app, release=release, host=host, name=f"cron.410{number}",
            command=entries[0]["command"], size="standard-1x", spec=b"",
            state={None: "running", 0: "succeeded", 1: "failed"}[code],
            exit=None if code is None else {"reason": "exited", "code": code, "signal": None, "at": 0.0, "message": ""},
            finished_at=None if code is None else at + minute / 5,
        )  # fmt: skip
        OneOff.objects.filter(id=done.id).update(created_at=at)


def _docs(owner: User, host: Host, hour: timedelta, day: timedelta) -> None:
    docs = make_app(owner, "handbook", maintenance=True)
    slug = make_slug(docs, "aa01bc77d2e9", "Chapter on restores")
    web = {"web": {"command": "static-web", "quantity": 1, "size": "standard-1x"}}
    release = make_release(docs, "deploy", "Deploy aa01bc77", 3 * day, slug, formation=web)
    make_deployment(release, 3 * day)
    make_instance(release, host, "web", 1, "up", 3 * day)


def _api(owner: User, host: Host, hour: timedelta) -> App:
    api = make_app(owner, "ledger-api")
    slug = make_slug(api, "0b5ce3f41a88", "Round half to even")
    web = {"web": {"command": "node server.js", "quantity": 2, "size": "performance-m"}}
    release = make_release(api, "deploy", "Deploy 0b5ce3f4", hour, slug, formation=web)
    make_deployment(release, hour)
    make_instance(release, host, "web", 1, "up", hour)
    exit_info = {"reason": "exited", "code": 1, "signal": None, "at": 0.0, "message": ""}
    make_instance(release, host, "web", 2, "crashed", hour / 30, restarts=7, last_exit=exit_info)
    return api


def _jobs(owner: User, host: Host, minute: timedelta) -> None:
    jobs = make_app(owner, "mailer")
    old = make_slug(jobs, "1c2d3e4f5a6b", "First version")
    worker = {"worker": {"command": "node worker.js", "quantity": 1, "size": "standard-1x"}}
    before = make_release(jobs, "deploy", "Deploy 1c2d3e4f", 60 * minute, old, formation=worker)
    make_instance(before, host, "worker", 1, "up", 60 * minute)
    slug = make_slug(jobs, "77aa88bb99cc", "Retry with a growing pause")
    release = make_release(
        jobs, "deploy", "Deploy 77aa88bb", minute / 20, slug, formation=worker, status="pending"
    )
    make_build(jobs, "succeeded", minute / 10, slug.commit, slug.commit_message, release)
    make_deployment(release, minute / 30, "active", phase="start", timings={"release": 0.01})
    make_instance(release, host, "worker", 1, "starting", minute / 60)


LINES = (
    ("app", "web.1", '10.7.0.2 "GET /search?q=teapot HTTP/1.1" 200 5123'),
    ("heroku", "router", 'at=info method=GET path="/search?q=teapot" host=shop.localhost fwd="10.0.0.7" '
     "request_id=5f0c dyno=web.1 connect=0ms service=18ms status=200 bytes=5123 protocol=http"),
    ("app", "worker.1", "[INFO] Task shop.tasks.send_receipt[9c1] succeeded in 0.21s"),
    ("app", "web.3", '10.7.0.2 "POST /cart HTTP/1.1" 302 0'),
    ("heroku", "router", 'at=error code=H12 desc="Request timeout" method=GET path="/export" host=shop.localhost '
     'request_id=77ab fwd="10.0.0.9" dyno=web.2 connect=1ms service=30001ms status=503 bytes=0 protocol=http'),
    ("app", "web.2", "WARNING export of 90,412 orders is slow"),
)  # fmt: skip


def write_log(app: App, count: int = 60) -> None:
    now = time.time()
    logs.write(
        logs.Line(str(app.id), source, dyno, text, now - (count - i) * 1.7)
        for i in range(count)
        for source, dyno, text in [LINES[i % len(LINES)]]
    )


def a_running_build(app: App) -> Build:
    """A build in progress, with output so far in Redis."""
    build = make_build(
        app, "building", timedelta(seconds=4), "5ad1f00dbeef", "Show prices with tax", timings={"queue": 0.02}
    )
    build_output.write(build.id, *OUTPUT.splitlines()[:9])
    return build


def main() -> None:
    """Fill the database and the log of the platform that PAAS_HOME names; print what tests ask for as JSON."""
    files = settings.PAAS.credentials("controller")
    authority.ensure_machine(files.authority.parent, files.machine, CONTROLLER, authority.now())
    made = a_platform()
    write_log(made["shop"])
    build = a_running_build(made["api"])
    print(json.dumps({"email": made["admin"].email, "password": PASSWORD, "running_build": str(build.id)}))


if __name__ == "__main__":
    main()
