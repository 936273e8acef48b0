"""Many apps at once, as rows: what the hot paths have to look at on a platform that is full.

In: how many.  Out: apps with a release, and instances of it that are up; nothing of it waits for anything.
"""

from __future__ import annotations

from uuid import uuid4

from django.utils import timezone

from paas.controller.encryption import encrypt, encrypt_config
from paas.controller.models import App, Deployment, Host, Instance, Release, Slug, User
from paas.controller.selectors.specs import instance_spec, template
from runtime.model import encode

FORMATION = {"web": {"command": "serve", "quantity": 3, "size": "standard-1x"}}
CONFIG = {f"KEY_{number}": "x" * 200 for number in range(20)}


def fill(user: User, host: Host, apps: int, *, history: int = 0) -> list[App]:
    """Make `apps` apps with three instances each, and `history` older releases each."""
    made = [App(name=f"app-{number}", owner=user, stack="debian-13") for number in range(apps)]
    App.objects.bulk_create(made)
    slugs = [
        Slug(app=app, digest="sha256:" + "a" * 64, size=1, process_types={"web": "serve"}, stack="x")
        for app in made
    ]
    Slug.objects.bulk_create(slugs)
    config = encrypt_config(CONFIG)
    versions = range(1, history + 2)
    releases = [
        Release(
            app=app, version=version, kind="deploy", status="succeeded", slug=slug, stack="x", formation=FORMATION,
            config_encrypted=config, stack_layers=[{"digest": "sha256:" + "5" * 64, "size": 5}],
        )
        for app, slug in zip(made, slugs, strict=True)
        for version in versions
    ]  # fmt: skip
    Release.objects.bulk_create(releases)
    now = timezone.now()
    Deployment.objects.bulk_create(
        Deployment(app=one.app, release=one, status="succeeded", phase="done", phase_since=now)
        for one in releases
    )
    current = releases[history :: history + 1]
    for app, release in zip(made, current, strict=True):
        app.current_release, app.version_counter = release, release.version
    App.objects.bulk_update(made, ["current_release", "version_counter"])
    Instance.objects.bulk_create(
        _instance(release, host, app_number * 3 + number)
        for app_number, release in enumerate(current)
        for number in range(1, 4)
    )
    return made


def _instance(release: Release, host: Host, count: int) -> Instance:
    now, id_ = timezone.now(), uuid4()
    number = (count - 1) % 3 + 1
    address = f"10.{count // 250}.0.{count % 250 + 1}"
    return Instance(
        id=id_, app=release.app, release=release, process_type="web", number=number, template=template(release, "web"),
        host=host, spec=encrypt(encode(instance_spec(release, "web", number, id_))), memory_bytes=512 * 1024**2,
        wanted_since=now, reason="", state="up", state_since=now, address=address, port=8080,
    )  # fmt: skip
