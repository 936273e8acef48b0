"""Dockerfiles on base images of a registry, open and behind a password; and builds whose agent or worker is killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.platform import Platform, commit, repository, until
from tests.e2e.registries import PASSWORD, USER, Registries, auth_file, serve
from tests.e2e.test_images import credentials, paas, registry
from tests.e2e.test_kill import Push, containers, restarted
from tests.oci_images import Layout, busybox, skopeo
from tests.system.runtime.outside import machine_outside

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

# Answers with the environment of every process that it sees.
SHOW = """\
#!/bin/sh
echo "Content-Type: text/plain"; echo; cat /told
for one in /proc/[0-9]*/environ; do /bin/busybox tr '\\0' '\\n' < $one; done
"""


def dockerfile(place: Registries, text: str, step: str = "true") -> str:
    return f"""\
FROM {place.open}/team/base:1 AS tools
RUN echo {text} > /told
FROM {place.closed}/team/base:1
COPY --from=tools /told /told
COPY show /www/cgi-bin/show
RUN {step}
EXPOSE 9090
CMD ["/bin/httpd", "-f", "-p", "9090", "-h", "/www"]
"""


@dataclass(frozen=True)
class Built:
    app: str
    folder: Path
    place: Registries


@pytest.fixture(scope="module")
def place(outside_network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    folder = tmp_path_factory.mktemp("registries")
    layout = Layout(folder / "layout")
    layout.image(layout.layer(busybox()), history=True)
    with machine_outside(outside_network) as machine, serve(machine, folder) as registries:
        layout.push(f"{registries.open}/team/base:1")
        yield registries


@pytest.fixture(scope="module")
def built(platform: Platform, place: Registries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """An app whose second base needs a password, told so and told that it is wrong before it is right."""
    app = platform.create_app()
    files = {"Dockerfile": dockerfile(place, "one"), "show": SHOW}
    folder = repository(tmp_path_factory.mktemp("image") / "app", files=files)
    (folder / "show").chmod(0o755)
    commit(folder, "It runs")
    pushed = platform.git_push(folder, app)
    assert pushed.code != 0
    assert words(f"{place.closed} asks for a name and a password") in words(pushed.output)
    assert "PAAS_REGISTRY_AUTH" in pushed.output
    give(platform, app, auth_file(place.closed, "wrong-one-of-somebody"))
    pushed = platform.git_push(folder, app)
    assert pushed.code != 0
    assert words(f"{place.closed} refuses the name and the password of the config var") in words(
        pushed.output
    )
    assert "wrong-one" not in pushed.output
    give(platform, app, auth_file(place.closed, PASSWORD))
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    yield Built(app, folder, place)
    platform.api("DELETE", f"/apps/{app}")


def give(platform: Platform, app: str, auth: str) -> None:
    said = platform.api("PATCH", f"/apps/{app}/config-vars", {"PAAS_REGISTRY_AUTH": auth})
    assert said.status == 200, said.text


def words(text: str) -> str:
    """Without the marks and the line breaks of a pusher's lines."""
    return " ".join(text.replace("remote:", " ").replace(" ! ", " ").split())


def test_bases_of_registries_are_pulled_once(platform: Platform, built: Built) -> None:
    assert platform.get(built.app, "/cgi-bin/show").text.startswith("one\n")
    before = [built.place.fetched(one) for one in (built.place.open, built.place.closed)]
    assert all(before), "each was asked, for its configuration at least"
    commit(built.folder, "two", {"Dockerfile": dockerfile(built.place, "two")})
    pushed = platform.git_push(built.folder, built.app)
    assert pushed.code == 0, pushed.output
    assert platform.get(built.app, "/cgi-bin/show").text.startswith("two\n")
    assert [built.place.fetched(one) for one in (built.place.open, built.place.closed)] == before


def test_the_registrys_password_is_the_builds_alone(platform: Platform, built: Built, tmp_path: Path) -> None:
    """No process of the app, no layer, no line and no log of the platform has it."""
    secret = auth_file(built.place.closed, PASSWORD).split('"')[7]
    shown = platform.get(built.app, "/cgi-bin/show").text
    assert "PORT=" in shown
    ran = paas(
        platform,
        "run",
        "-a",
        built.app,
        "--no-tty",
        "--",
        "env; /bin/busybox tr '\\0' '\\n' </proc/1/environ",
    )
    assert "PAAS_APP_NAME=" in ran.stdout, ran.stderr
    told = paas(platform, "builds:output", "-a", built.app).stdout
    assert "STEP" in told
    logs = paas(platform, "logs", "-a", built.app, "-n", "1000").stdout + platform.logs()
    for text in (shown, ran.stdout, told, logs):
        assert [one for one in ("PAAS_REGISTRY_AUTH=", secret, PASSWORD) if one in text] == []
    assert PASSWORD not in (shown + ran.stdout + told + logs) and USER not in shown
    source = f"docker://{registry(platform)}/{built.app}:latest"
    skopeo("copy", *credentials(platform, "src"), source, f"dir:{tmp_path / 'got'}")
    kept = [file.read_bytes() for file in (tmp_path / "got").iterdir()]
    kept = [gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in kept]
    assert any(b"cgi-bin/show" in data for data in kept)
    for data in kept:
        assert secret.encode() not in data and b"REGISTRY_AUTH" not in data


APP_JSON = {
    "env": {"API_URL": {"description": "Where the API is", "required": True}},
    "scripts": {"dokku": {"postdeploy": "echo told $API_URL from $(cat /told)"}},
    "cron": [{"command": "echo tidy", "schedule": "0 3 * * *"}],
}


def test_app_json_holds_as_for_other_apps(platform: Platform, built: Built) -> None:
    """What it requires, a script after the deploy, a scheduled command."""
    files = {"app.json": json.dumps(APP_JSON), "Dockerfile": dockerfile(built.place, "scripts")}
    commit(built.folder, "app.json", files)
    refused = platform.git_push(built.folder, built.app)
    assert refused.code != 0
    assert "API_URL: Where the API is" in refused.output
    set_up = platform.api("PATCH", f"/apps/{built.app}/config-vars", {"API_URL": "http://api"})
    assert set_up.status == 200, set_up.text
    pushed = platform.git_push(built.folder, built.app)
    assert pushed.code == 0, pushed.output

    def told() -> bool:
        return "told http://api from scripts" in paas(platform, "logs", "-a", built.app, "-n", "200").stdout

    until(told, 60, "the script has run in the image", 0.5)
    listed = paas(platform, "cron", "-a", built.app).stdout
    assert "echo tidy" in listed, listed
    assert "0 3 * * *" in listed, listed


@pytest.mark.parametrize("name", ["agent", "worker"])
def test_a_build_whose_process_is_killed_ends_well(platform: Platform, built: Built, name: str) -> None:
    """In the middle of a step: the build goes on; nothing of it is left, and the next one finds nothing locked."""
    before = containers(platform)
    commit(
        built.folder, name, {"Dockerfile": dockerfile(built.place, f"past-{name}", "echo at work && sleep 5")}
    )
    push = Push.begin(platform, built.folder, built.app)
    push.await_line("at work")
    pid = platform.pid_of(name)
    os.kill(pid, signal.SIGKILL)
    restarted(platform, name, pid)
    ended = push.end()
    assert ended.code == 0, ended.output
    assert platform.get(built.app, "/cgi-bin/show").text.startswith(f"past-{name}\n")
    until(lambda: len(containers(platform)) <= len(before), 60, "no container of the build is left", 0.5)
