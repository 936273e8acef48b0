"""Stacks from images: import, build, pull, update, and apps put on newer layers while they serve."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.platform import Platform, repository, until
from tests.e2e.test_images import credentials, live, paas, podman, registry
from tests.oci_images import File, Layout, skopeo
from tests.oci_registry import serve
from tests.system_root import dpkg, root

pytestmark = pytest.mark.e2e

SERVER = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mark = open("/etc/mark").read() if os.path.exists("/etc/mark") else "none"
        body = f"{mark} {os.getuid()} {os.environ.get('GREETING', '')}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""

# A Cloud Native Buildpack with a layer that is large enough for an image of its own.
PROJECT = """\
[_]
schema-version = "0.2"
[[io.buildpacks.group]]
id = "test/words"
[io.buildpacks.group.script]
api = "0.10"
shell = "/usr/bin/python3"
inline = '''
import os, pathlib
layer = pathlib.Path(os.environ["CNB_LAYERS_DIR"], "words")
(layer / "env.launch").mkdir(parents=True)
(layer / "env.launch" / "WORDS").write_text("of the layer")
(layer / "data").write_bytes(b"x" * 2**21)
layer.with_suffix(".toml").write_text("[types]\\nlaunch = true\\n")
'''
"""


@dataclass(frozen=True)
class Built:
    app: str
    layout: Layout


def mark(layout: Layout, text: str, *more: File) -> Path:
    """Make the stack's image with a mark in it; an OCI archive."""
    base = layout.layer(root())
    layout.image(base, layout.layer([File("etc/mark", text.encode()), dpkg(), *more]))
    return layout.archive(layout.folder.parent / f"{text}.tar")


@pytest.fixture(scope="module")
def built(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A stack imported from an archive, and an app built and served on it; its slug has a layer below it."""
    folder = tmp_path_factory.mktemp("stack")
    layout = Layout(folder / "layout")
    done = paas(platform, "stacks:import", "mini", f"oci-archive:{mark(layout, 'first')}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mini: ready (debian" in done.stdout
    answer = platform.api("POST", "/apps", {"stack": "mini"})
    app = str(answer.json()["name"])
    files = {"Procfile": "web: python3 server.py\n", "server.py": SERVER, "project.toml": PROJECT}
    pushed = platform.git_push(repository(folder / "app", files=files), app)
    assert pushed.code == 0, pushed.output
    assert platform.get(app).text == "first 1000 "
    return Built(app, layout)


def test_a_release_on_a_stack_runs_elsewhere(platform: Platform, built: Built, short_folder: Path) -> None:
    """The launcher starts `web` under podman as it does here; config vars are not in the image."""
    assert paas(platform, "config:set", "-a", built.app, "GREETING=secret").returncode == 0
    live(platform, built.app, 3)
    source = f"docker://{registry(platform)}/{built.app}:latest"
    skopeo("copy", *credentials(platform, "src"), source, f"dir:{short_folder / 'got'}")
    manifest = json.loads((short_folder / "got" / "manifest.json").read_text())
    config = (short_folder / "got" / manifest["config"]["digest"].removeprefix("sha256:")).read_text()
    assert len(manifest["layers"]) == 3, "the stack, what was installed, the slug"
    assert "secret" not in config
    name = f"{registry(platform)}/{built.app}:latest"
    pulled = podman(short_folder, "pull", "--tls-verify=false", f"--creds=x:{platform.token}", name)
    assert pulled.returncode == 0, pulled.stderr
    limits = ("--ulimit=nofile=512:512", "--ulimit=nproc=512:512", "--security-opt=seccomp=unconfined")
    options = (
        *limits,
        "--rm",
        "--network=none",
        "--cgroups=disabled",
        "-e",
        "PORT=9000",
        "-e",
        "GREETING=there",
    )
    ask = (
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9000\").read().decode())'"
    )
    shown = 'echo "$WORDS" $(ls /app/.paas/layers/test_words/words)'
    again = f"for i in 1 2 3 4 5 6 7 8 9; do {ask} 2>/dev/null && exit 0; sleep 0.5; done; exit 1"
    script = f"{shown}; python3 server.py & {again}"
    ran = podman(short_folder, "run", *options, name, script)
    assert ran.stdout.splitlines() == ["of the layer data env.launch", "first 1000 there"], ran.stderr


def test_rebasing_keeps_serving(platform: Platform, built: Built) -> None:
    done = paas(platform, "stacks:import", "mini", f"oci-archive:{mark(built.layout, 'second')}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert platform.get(built.app).text.startswith("first"), "apps keep their layers"
    listed = paas(platform, "stacks").stdout
    assert f"{built.app} (v3) is behind mini: paas rebase -a {built.app}" in listed
    with asking(platform, built.app) as answers:
        rebased = paas(platform, "rebase", "-a", built.app)
        assert rebased.returncode == 0, rebased.stderr
        live(platform, built.app, 4)
        until(lambda: platform.get(built.app).text.startswith("second"), 60, "the new layers serve")
    assert {status for status, _ in answers} == {200}
    assert [text[:5] for _, text in answers][0] == "first"
    assert "behind mini" not in paas(platform, "stacks").stdout
    assert "already" in paas(platform, "rebase", "-a", built.app).stdout
    assert len(platform.api("GET", f"/apps/{built.app}/builds").json()) == 1, "nothing was built"
    assert paas(platform, "rollback", "v3", "-a", built.app).returncode == 0
    live(platform, built.app, 5)
    until(
        lambda: platform.get(built.app).text.startswith("first"), 60, "a rollback brings the old layers back"
    )


class asking:
    """Ask an app over and over while the block runs."""

    def __init__(self, platform: Platform, app: str) -> None:
        self.answers: list[tuple[int, str]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(platform, app))

    def _ask(self, platform: Platform, app: str) -> None:
        while not self._over.wait(0.02):
            answer = platform.get(app)
            self.answers.append((answer.status, answer.text))

    def __enter__(self) -> list[tuple[int, str]]:
        self._thread.start()
        return self.answers

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)


def test_another_system_needs_a_build(platform: Platform, built: Built) -> None:
    other = File("etc/os-release", b"ID=other\nVERSION_ID=1\n")
    done = paas(platform, "stacks:import", "mini", f"oci-archive:{mark(built.layout, 'third', other)}")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = paas(platform, "rebase", "--all")
    assert refused.returncode == 1
    assert f"{built.app} cannot be rebased on mini: it was built for debian" in refused.stdout
    assert platform.get(built.app).status == 200


def test_a_stack_of_a_registry_is_updated_and_apps_rebased(
    platform: Platform, built: Built, tmp_path: Path, free_ports: Callable[[int], list[int]]
) -> None:
    """`stacks:update` fetches what the name means now; the app on it takes it without a build."""
    place = platform.environ["PAAS_INSECURE_REGISTRIES"].split()[1]
    with serve(tmp_path / "registry", [*free_ports(1), int(place.rpartition(":")[2])]):
        mark(built.layout, "one")
        built.layout.push(f"{place}/team/base:1")
        done = paas(platform, "stacks:import", "pulled", f"docker://{place}/team/base:1")
        assert done.returncode == 0, done.stdout + done.stderr
        app = str(platform.api("POST", "/apps", {"stack": "pulled"}).json()["name"])
        files = {"Procfile": "web: python3 server.py\n", "server.py": SERVER}
        pushed = platform.git_push(repository(tmp_path / "app", files=files), app)
        assert pushed.code == 0, pushed.output
        assert platform.get(app).text == "one 1000 "
        mark(built.layout, "two")
        built.layout.push(f"{place}/team/base:1")
        done = paas(platform, "stacks:update", "pulled")
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"{app} (v2) is behind pulled" in paas(platform, "stacks").stdout
    assert platform.get(app).text == "one 1000 "
    with asking(platform, app) as answers:
        assert paas(platform, "rebase", "-a", app).returncode == 0
        until(lambda: platform.get(app).text == "two 1000 ", 60, "the new layers serve")
        live(platform, app, 3)
    assert {status for status, _ in answers} == {200}
    assert len(platform.api("GET", f"/apps/{app}/builds").json()) == 1, "nothing was built"
    platform.api("DELETE", f"/apps/{app}")


def test_an_import_survives_its_worker(platform: Platform, built: Built) -> None:
    """kill -9 of the worker in the middle: another one goes on, and the stack is there."""
    import os
    import signal

    archive = mark(built.layout, "fourth")
    process = threading.Thread(
        target=paas, args=(platform, "stacks:import", "mini", f"oci-archive:{archive}")
    )
    process.start()
    until(lambda: task(platform)["status"] == "running", 60, "the import runs")
    os.kill(platform.pid_of("worker"), signal.SIGKILL)
    until(lambda: task(platform)["status"] == "succeeded", 90, "another worker has ended it")
    process.join(60)
    until(lambda: platform.get(built.app).status == 200, 30, "apps serve")


def task(platform: Platform) -> dict[str, str]:
    answer = platform.api("GET", "/stack-tasks", Range="created_at ..; order=desc, max=1")
    rows: list[dict[str, str]] = answer.json()
    return rows[0]


def test_who_may_not_change_stacks_and_what_is_no_stack(platform: Platform, built: Built) -> None:
    made = platform.api("POST", "/stacks", {"name": "debian-13", "image": "docker://example.org/x"})
    assert (made.status, "made by the platform" in made.text) == (422, True)
    host = platform.api("POST", "/stacks/host/actions/update", {})
    assert (host.status, "update the machine" in host.text) == (422, True)
    again = platform.api("POST", "/stacks/mini/actions/update", {})
    assert (again.status, "import the newer one" in again.text) == (422, True)
