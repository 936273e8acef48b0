"""`kill -9` of each process in the middle of its work: apps keep answering, and nothing stays locked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.load import Load
from tests.e2e.platform import Platform, Pushed, commit, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

BUILD_SECONDS = 6


@dataclass
class Push:
    """A `git push` in the background, read line by line."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    reader: threading.Thread = field(default_factory=threading.Thread)

    @classmethod
    def begin(cls, platform: Platform, folder: Path, app: str) -> Push:
        command = ("git", "push", "--progress", platform.git_url(app), "main")
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=platform.git_environ(),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        push = cls(process)
        push.reader = threading.Thread(target=push._read, daemon=True)
        push.reader.start()
        return push

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    def saw(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def await_line(self, text: str, timeout: float = 60) -> None:
        until(lambda: self.saw(text) or self.process.poll() is not None, timeout, f"the push prints {text!r}")
        assert self.saw(text), self.text

    def end(self, timeout: float = 150) -> Pushed:
        code = self.process.wait(timeout)
        self.reader.join(10)
        return Pushed(code, self.text, 0.0)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def slow_build(version: str, seconds: int = BUILD_SECONDS) -> dict[str, str]:
    """A Node app whose build script takes its time."""
    files = apps.node(version)
    script = f"echo building {version} && sleep {seconds} && echo built {version}"
    files["package.json"] = files["package.json"].replace(
        '"start": "node server.js"', f'"start": "node server.js", "build": "{script}"'
    )
    return files


@pytest.fixture(scope="module")
def bystander(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app that must not notice anything."""
    from tests.e2e.platform import repository

    app = platform.create_app()
    folder = repository(tmp_path_factory.mktemp("bystander") / "app", None, apps.plain("calm"))
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    yield app
    platform.api("DELETE", f"/apps/{app}")


@pytest.fixture
def builder(platform: Platform, make_repository: Callable[..., Path]) -> Iterator[tuple[str, Path]]:
    """An app that has been deployed once, with its repository."""
    app = platform.create_app()
    folder = make_repository(files=apps.node("zero"))
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    yield app, folder
    platform.api("DELETE", f"/apps/{app}")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def under_load(platform: Platform, app: str) -> Load:
    return Load(platform.port("PAAS_ROUTER_PORT"), f"{app}.{platform.domain}", rate=50)


def push_works(platform: Platform, app: str, folder: Path, version: str) -> None:
    """The next push deploys: nothing is left locked."""
    commit(folder, version, apps.node(version))
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    assert platform.get(app).text.startswith(version)


def restarted(platform: Platform, name: str, old: int) -> int:
    def fresh() -> int | None:
        try:
            pid = platform.pid_of(name)
        except (AssertionError, ValueError):
            return None
        return pid if pid != old else None

    return int(until(fresh, 30, f"{name} runs again", 0.2))


# What a pusher reads when a phase begins: unpacking, the app's own script, packing and upload, the deployment.
PHASES = {"unpack": "app detected", "compile": "building", "package": "Compiled:", "release": "Packaged:"}


@pytest.mark.parametrize("name", ["worker", "agent", "redis"])
def test_kill_at_each_phase_of_a_build(
    platform: Platform, bystander: str, builder: tuple[str, Path], name: str
) -> None:
    """The push finishes, or says why not while the old release serves; the next one finds nothing locked."""
    app, folder = builder
    live = "zero"
    before = containers(platform)
    with under_load(platform, bystander) as load:
        for phase, line in PHASES.items():
            commit(folder, phase, slow_build(phase, seconds=3))
            push = Push.begin(platform, folder, app)
            push.await_line(line)
            pid = platform.pid_of(name)
            kill(pid)
            restarted(platform, name, pid)
            ended = push.end()
            if ended.code == 0:
                live = phase
            else:
                assert " !     " in ended.output or "remote rejected" in ended.output, ended.output
            served = platform.get(app)
            assert (served.status, served.text.split()[0]) == (200, live), (phase, ended.output)
        push_works(platform, app, folder, "last")
    assert not load.failures, load.summary()
    until(lambda: len(containers(platform)) <= len(before), 60, "no container of a build is left", 0.5)


def containers(platform: Platform) -> set[str]:
    return {entry.name for entry in (platform.home / "agent" / "c").iterdir()}


def test_the_build_of_a_killed_worker_is_finished_by_the_next(
    platform: Platform, builder: tuple[str, Path]
) -> None:
    app, folder = builder
    commit(folder, "slow", slow_build("one"))
    push = Push.begin(platform, folder, app)
    push.await_line("building one")
    pid = platform.pid_of("worker")
    kill(pid)
    ended = push.end()
    assert ended.code == 0, ended.output
    assert len(re.findall(r"remote:\s+building one\s*$", ended.output, re.M)) == 1, "no line is told twice"
    assert platform.get(app).text.startswith("one")


# A Cloud Native Buildpack whose layer takes its time.
PROJECT = """\
[_]
schema-version = "0.2"
[[io.buildpacks.group]]
id = "test/slow"
[io.buildpacks.group.script]
api = "0.10"
shell = "/usr/bin/python3"
inline = '''
import os, pathlib, time
print("layer begun", flush=True)
time.sleep(5)
layer = pathlib.Path(os.environ["CNB_LAYERS_DIR"], "words")
(layer / "env.launch").mkdir(parents=True)
(layer / "env.launch" / "WORDS").write_text("of the layer")
layer.with_suffix(".toml").write_text("[types]\\nlaunch = true\\n")
'''
"""


def test_a_cloud_native_build_goes_on_without_its_agent_and_its_worker(
    platform: Platform, builder: tuple[str, Path]
) -> None:
    """Both killed in the middle of the build phase: the layer is made once, and nothing is left."""
    app, folder = builder
    before = containers(platform)
    commit(folder, "buildpacks", {**apps.plain("layered"), "project.toml": PROJECT})
    push = Push.begin(platform, folder, app)
    push.await_line("layer begun")
    for name in ("agent", "worker"):
        pid = platform.pid_of(name)
        kill(pid)
        restarted(platform, name, pid)
    ended = push.end()
    assert ended.code == 0, ended.output
    assert ended.output.count("layer begun") == 1, "it was not begun anew"
    assert platform.get(app).text.startswith("layered")
    until(lambda: len(containers(platform)) <= len(before), 60, "no container of the build is left", 0.5)


def test_kill_git_in_mid_push(platform: Platform, bystander: str, builder: tuple[str, Path]) -> None:
    app, folder = builder
    with under_load(platform, bystander) as load:
        commit(folder, "slow", slow_build("one"))
        push = Push.begin(platform, folder, app)
        push.await_line("building one")
        pid = platform.pid_of("git")
        for child in children(pid):
            kill(child)
        kill(pid)
        assert push.end().code != 0
        restarted(platform, "git", pid)
        until(lambda: git_answers(platform), 30, "git answers again", 0.2)
        push_works(platform, app, folder, "two")
    assert not load.failures, load.summary()


def test_kill_web_under_load(platform: Platform, bystander: str, builder: tuple[str, Path]) -> None:
    app, folder = builder
    with under_load(platform, bystander) as load:
        pid = platform.pid_of("web")
        for child in children(pid):
            kill(child)
        kill(pid)
        restarted(platform, "web", pid)
        until(lambda: api_answers(platform), 30, "the API answers again", 0.2)
        push_works(platform, app, folder, "one")
    assert not load.failures, load.summary()


def test_kill_the_agent_keeps_its_containers(platform: Platform, bystander: str) -> None:
    before = platform.api("GET", f"/apps/{bystander}/dynos").json()
    with under_load(platform, bystander) as load:
        pid = platform.pid_of("agent")
        kill(pid)
        restarted(platform, "agent", pid)
        changed = platform.api(
            "PATCH", f"/apps/{bystander}/formation", {"updates": [{"type": "web", "quantity": 2}]}
        )
        assert changed.status == 200

        def two_up() -> bool:
            dynos = platform.api("GET", f"/apps/{bystander}/dynos").json()
            return [one["state"] for one in dynos] == ["up", "up"]

        until(two_up, 60, "the restarted agent starts a second instance", 0.2)
    after = {one["id"] for one in platform.api("GET", f"/apps/{bystander}/dynos").json()}
    assert {one["id"] for one in before} <= after, "the first instance was adopted, not replaced"
    assert not load.failures, load.summary()


def test_kill_the_router_control_process(
    platform: Platform, bystander: str, builder: tuple[str, Path]
) -> None:
    app, folder = builder
    with under_load(platform, bystander) as load:
        pid = platform.pid_of("router")
        kill(pid)
        restarted(platform, "router", pid)
        push_works(platform, app, folder, "one")
    assert not load.failures, load.summary()


def test_a_crashed_instance_is_restarted(
    platform: Platform, builder: tuple[str, Path], tmp_path: Path
) -> None:
    from tests.e2e.platform import repository

    app = platform.create_app()
    assert platform.git_push(repository(tmp_path / "crash", None, apps.plain("one")), app).code == 0
    platform.get(app, "/crash")
    until(lambda: platform.get(app).status == 200, 30, "the instance runs again", 0.2)
    # A request that no one answered may be sent once more: it can end the next run too.
    *_, first = until(lambda: platform.api("GET", f"/apps/{app}/crashes").json(), 60, "the crash is kept")
    assert (first["dyno"], first["run"], first["message"]) == ("web.1", 1, "exited with status 3"), first
    assert first["first_lines"] + first["last_lines"] == ["listening"], first
    platform.api("DELETE", f"/apps/{app}")


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def api_answers(platform: Platform) -> bool:
    try:
        return platform.api("GET", "/account").status == 200
    except OSError:
        return False


def git_answers(platform: Platform) -> bool:
    from tests.e2e.platform import request

    try:
        return request(platform.port("PAAS_GIT_PORT"), "GET", "/x.git/info/refs", None, {}).status in {
            401,
            404,
            403,
            400,
        }
    except OSError:
        return False
