"""Which mounts a release may have, and what becomes of them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.utils import timezone

from paas.controller.models import App, Host, Release, User, Volume
from paas.controller.selectors.planning import snapshot
from paas.controller.selectors.releases import diff
from paas.controller.selectors.specs import instance_spec, one_off_spec
from paas.controller.services.bindings import check_target, parse_mount
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.releases import rollback
from paas.controller.services.volumes import destroy, set_mounts
from paas.errors import Conflict, InvalidParams

from .conftest import deploy
from .machines import GIB, NO_ADDRESS

pytestmark = pytest.mark.integration


@pytest.fixture
def host() -> Host:
    return Host.objects.create(name="h1", url=NO_ADDRESS, seen_at=timezone.now(), memory_bytes=8 * GIB)


@pytest.fixture
def deployed(user: User, app: App) -> Release:
    return deploy(user, app, "a" * 40, web="./web", worker="./worker")


@pytest.fixture
def volume(app: App, host: Host) -> Volume:
    return Volume.objects.create(app=app, host=host, name="data", size_bytes=2**30)


def test_a_mount_is_a_release_and_reaches_the_specs(
    user: User, app: App, volume: Volume, deployed: Release
) -> None:
    release = set_mounts(user, volume, ["web:/data"])
    assert release is not None and release.kind == "volumes"
    assert set_mounts(user, volume, ["web:/data/"]) is None
    (mount,) = instance_spec(release, "web", 1, uuid4()).container.volumes
    assert (mount.name, mount.target, mount.read_only, mount.size_bytes) == ("data", "/data", False, 0)
    (read,) = one_off_spec(release, "run.1", "ls", "", {}, uuid4(), 10.0).container.volumes
    assert read.read_only
    assert diff(deployed, release).volumes == {"data": ("", "web:/data")}
    web = snapshot(app).deployment.release.process("web")
    assert web.volumes == {volume.id} and web.host == volume.host_id


def test_a_type_that_writes_has_one_dyno(user: User, app: App, volume: Volume, deployed: Release) -> None:
    set_mounts(user, volume, ["web:/data"])
    with pytest.raises(InvalidParams, match="at most one dyno, not 2"):
        scale(user, app, [FormationUpdate("web", 2)])
    set_mounts(user, volume, ["web:/data:ro"])
    scale(user, app, [FormationUpdate("web", 2)])
    with pytest.raises(InvalidParams, match="at most one dyno, not 2"):
        set_mounts(user, volume, ["web:/data"])
    scale(user, app, [FormationUpdate("web", 1)])
    with pytest.raises(InvalidParams, match="written to by web already"):
        set_mounts(user, volume, ["web:/data", "worker:/data"])


def test_a_rollback_restores_mounts_but_never_a_destroyed_volume(
    user: User, app: App, volume: Volume, deployed: Release
) -> None:
    mounted = set_mounts(user, volume, ["web:/data"])
    assert mounted is not None
    with pytest.raises(Conflict, match="mounted at web:/data; unmount it first"):
        destroy(user, volume)
    set_mounts(user, volume, [])
    Release.objects.filter(app=app).update(status="succeeded")
    assert rollback(user, app, mounted).volumes == mounted.volumes
    destroy(user, volume, force=True)
    app.refresh_from_db()
    assert app.releases.last().volumes == [] and Volume.objects.get().doomed
    Release.objects.filter(app=app).update(status="succeeded")
    with pytest.raises(InvalidParams, match="has been destroyed"):
        rollback(user, app, mounted)


@pytest.mark.parametrize(
    "text", ["web", "web:", "web:data", "web:/", "web:/a/../b", "web:/app", "web:/etc/x", "web:/d:x"]
)
def test_no_places(text: str) -> None:
    with pytest.raises(InvalidParams):
        parse_mount(text, "v", "data")


def test_places_are_cleaned() -> None:
    assert check_target("//data/./files/") == "/data/files"
    assert check_target("/app/uploads") == "/app/uploads"
