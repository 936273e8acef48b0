"""A volume of an app by `paas volumes`: what is in it survives deploys, restarts and rollbacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.browsing import Browsing
from tests.e2e.platform import Platform, commit, until
from tests.e2e.test_images import paas as command
from tests.e2e.test_kernel_parameters import settle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

COUNT = """if self.path == "/count":
            import os
            file = os.open("/data/count", os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.write(file, b"x"); os.fsync(file)
            body = str(os.fstat(file).st_size).encode()
        elif self.path == "/env":"""


def counting(marker: str) -> dict[str, str]:
    files = apps.plain(marker)
    return files | {"server.py": files["server.py"].replace('if self.path == "/env":', COUNT)}


def paas(platform: Platform, *words: str) -> tuple[int, str]:
    done = command(platform, *words)
    return done.returncode, done.stdout + done.stderr


def test_data_survives_deploy_restart_and_rollback(
    platform: Platform, make_repository: Callable[..., Path]
) -> None:
    app = platform.create_app("keeper")
    repository = make_repository(files=counting("one"), name=app)
    assert platform.git_push(repository, app).code == 0
    made = paas(platform, "volumes:create", "data", "--size", "16MiB", "--mount", "web:/data", "-a", app)
    assert "Made volume data of 16 MiB" in made[1], made
    mounted_in = settle(platform, app)

    def count() -> int:
        answer = until(
            lambda: (got := platform.get(app, "/count")).status == 200 and got, 60, "it serves", 0.2
        )
        return int(answer.text)

    assert (count(), count()) == (1, 2)
    commit(repository, "two", counting("two"))
    assert platform.git_push(repository, app).code == 0
    settle(platform, app)
    assert count() == 3
    assert paas(platform, "ps:restart", "-a", app)[0] == 0
    until(lambda: count() > 3, 60, "it counts on after a restart", 0.2)
    refused = paas(platform, "ps:scale", "web=2", "-a", app)
    assert refused[0] != 0 and "has one writer at a time" in refused[1]
    assert platform.api("POST", f"/apps/{app}/releases", {"release": str(mounted_in)}).status == 201
    settle(platform, app)
    before = count()
    listed = paas(platform, "volumes", "-a", app)[1]
    assert "16 MiB" in listed and "web:/data" in listed
    assert (
        "Took snapshot first" in paas(platform, "volumes:snapshot", "data", "--name", "first", "-a", app)[1]
    )
    assert "in use by web.1" in paas(platform, "volumes:restore", "data", "first", "-a", app)[1]
    assert "Made volume copy" in paas(platform, "volumes:clone", "data", "first", "copy", "-a", app)[1]
    assert (
        "is mounted at web:/data"
        in paas(platform, "volumes:destroy", "data", "--confirm", "data", "-a", app)[1]
    )
    assert count() == before + 1


def test_by_the_dashboard(platform: Platform, make_repository: Callable[..., Path]) -> None:
    """Made, mounted, written to, kept in a snapshot, cloned, grown and destroyed."""
    app = platform.create_app("shelves")
    assert platform.git_push(make_repository(files=counting("one"), name=app), app).code == 0
    page, base = Browsing(platform), f"/dashboard/apps/{app}/volumes"
    page.sign_in(platform.ready["admin_email"], platform.ready["admin_password"])
    page.post(base, name="data", size="16MiB", mounts="")
    assert page.notice.startswith("Made volume data of 16.0 MiB")
    page.post(f"{base}/data/mount", mounts="web:/data")
    assert "Mount volume data web:/data" in page.notice
    settle(platform, app)

    def count() -> int:
        answer = until(
            lambda: (got := platform.get(app, "/count")).status == 200 and got, 60, "it serves", 0.2
        )
        return int(answer.text)

    assert count() == 1
    assert "Snapshot first" in page.post(f"{base}/data/snapshots", snapshot="first")
    assert "used, by web.1 at the moment" in page.get(f"{base}/data")
    assert "data-2" in page.post(f"{base}/data/snapshots/clone", snapshot="first", name="data-2")
    assert page.notice == "Made volume data-2 from first of data."
    assert count() == 2
    assert "Snapshot first" not in page.post(f"{base}/data/snapshots/remove", snapshot="first")
    page.post(f"{base}/data/mount", mounts="")
    settle(platform, app)
    page.post(f"{base}/data/grow", size="32MiB")
    assert page.notice == "Volume data holds 32.0 MiB."
    page.post(f"{base}/data-2/mount", mounts="web:/data")
    settle(platform, app)
    assert count() == 2, "the clone holds what was written before the snapshot"
    page.post(f"{base}/data/destroy", confirm="data")
    assert page.notice == "Volume data is destroyed."
    assert [one["name"] for one in platform.api("GET", f"/apps/{app}/volumes").json()] == ["data-2"]
    assert platform.api("DELETE", f"/apps/{app}").status == 200
