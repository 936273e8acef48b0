"""A volume of an app by `paas volumes`: what is in it survives deploys, restarts and rollbacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
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
