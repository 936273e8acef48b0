"""What hostile apps, clumsy clients and unlucky machines do: only they suffer, and it is told in words."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.container.storage import load
from tests.e2e import apps
from tests.e2e.load import Load
from tests.e2e.platform import PORTS, Answer, Platform, commit, repository, request, until
from tests.e2e.test_kill import Push, slow_build

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SHELL = """
import io, os, traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Shell(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(os.environ["DYNO"])

    def do_POST(self):
        out = io.StringIO()
        try:
            exec(self.rfile.read(int(self.headers["Content-Length"])), {"say": lambda *a: print(*a, file=out)})
        except BaseException:
            out.write(traceback.format_exc())
        self.reply(out.getvalue())

    def reply(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Shell).serve_forever()
"""
FORK_BOMB = """
import os, time
end = time.time() + 3
if os.fork() == 0:
    while time.time() < end:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)
    os._exit(0)
time.sleep(4)
"""
CONNECT = """
import socket
from concurrent.futures import ThreadPoolExecutor

def attempt(target):
    try:
        socket.create_connection(target, 3).close()
        return f"open {{target}}"
    except OSError as error:
        return f"closed {{target}} {{error}}"

with ThreadPoolExecutor(16) as pool:
    for line in pool.map(attempt, {}):
        say(line)
"""


# By the error's id: what a build script does, and what its pusher reads.
BUILD_BOMBS = {
    "build_memory": (
        "exec node -e 'const a = []; while (true) a.push(Buffer.alloc(5e7, 1))'\n",
        "needed more than its 2048 MB of memory",
    ),
    "build_processes": ("while true; do sleep 100 & done\n", "hit its limit of 1024 processes and threads"),
    "build_disk_full": ("fallocate -l 3800M a && cat /dev/zero > b\n", "The build's disk of"),
    "build_output_too_large": ("exec yes 'and so on'\n", "The build printed more than 1,500,000 lines"),
}


def archive_bombs() -> dict[str, tuple[bytes, str, str]]:
    """Archives as a source, each with the id and words in which it is refused."""

    def archive(kind: bytes, size: int = 0, link: str = "") -> bytes:
        member = tarfile.TarInfo("bomb")
        member.type, member.size, member.linkname = kind, size, link
        return gzip.compress(member.tobuf()) + gzip.compress(bytes(2**24)) * (size // 2**24)

    return {
        "tar": (archive(tarfile.REGTYPE, 3 * 2**30), "source_too_large", "The source is too large"),
        "headers": (archive(tarfile.XHDTYPE, 2**30), "source_invalid", "larger than any source needs"),
        "symlink": (
            archive(tarfile.SYMTYPE, link="/etc/shadow") + gzip.compress(bytes(1024)),
            "source_refused",
            "'bomb' is a link out of the repository (to '/etc/shadow')",
        ),
        "device": (archive(tarfile.BLKTYPE), "source_invalid", "is not a file, folder or symbolic link"),
    }


def ended_build(platform: Platform, app: str, build: str) -> Answer:
    path = f"/apps/{app}/builds/{build}"
    until(lambda: platform.api("GET", path).json()["status"] != "pending", 120, "the build ended", 0.2)
    return platform.api("GET", path)


@dataclass(frozen=True)
class Intruder:
    """An app that runs whatever Python it is sent."""

    platform: Platform
    app: str

    def run(self, code: str) -> str:
        return self.platform.get(self.app, method="POST", body=code.encode()).text

    def answers(self) -> bool:
        return self.platform.get(self.app).status == 200


def deployed(platform: Platform, folder: Path, files: dict[str, str], name: str | None = None) -> str:
    app = platform.create_app(name)
    pushed = platform.git_push(repository(folder, None, files), app)
    assert pushed.code == 0, pushed.output
    return app


@pytest.fixture(scope="module")
def intruder(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intruder]:
    files = {"Procfile": "web: python3 server.py\n", "server.py": SHELL}
    app = deployed(platform, tmp_path_factory.mktemp("intruder") / "app", files)
    yield Intruder(platform, app)
    platform.api("DELETE", f"/apps/{app}")


@pytest.fixture(scope="module")
def neighbour(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    app = deployed(platform, tmp_path_factory.mktemp("neighbour") / "app", apps.plain("calm"))
    yield app
    platform.api("DELETE", f"/apps/{app}")


def undisturbed(platform: Platform, app: str) -> Load:
    return Load(platform.port("PAAS_ROUTER_PORT"), f"{app}.{platform.domain}", rate=50)


def log_of(platform: Platform, app: str, lines: int = 1500) -> str:
    url = platform.api("POST", f"/apps/{app}/log-sessions", {"lines": lines}).json()["logplex_url"]
    port = platform.port("PAAS_API_PORT")
    return request(port, "GET", url.split(str(port), 1)[1], None, {}).text


def containers(platform: Platform) -> set[str]:
    return {entry.name for entry in (platform.home / "agent" / "c").iterdir()}


def own_addresses() -> set[str]:
    links = json.loads(subprocess.check_output(("ip", "-json", "-4", "address")))
    return {one["local"] for link in links for one in link["addr_info"]}


class TestHostileApp:
    def test_no_way_to_the_platform_or_its_neighbours(
        self, platform: Platform, intruder: Intruder, neighbour: str
    ) -> None:
        ports = [platform.port(name) for name in PORTS]
        targets = [(address, port) for address in own_addresses() for port in ports]
        records = [record for file in (platform.home / "agent" / "c").iterdir() if (record := load(file))]
        own = platform.api("GET", f"/apps/{intruder.app}").json()["id"]
        instances = {record.address: record.owner for record in records if record.address}
        targets += [(address, 8080) for address, owner in instances.items() if owner != own]
        assert len(targets) > len(ports), "there is a neighbour, too"
        targets.append(("169.254.169.254", 80))
        said = intruder.run(CONNECT.format(targets)).splitlines()
        assert len(said) == len(targets)
        assert [line for line in said if not line.startswith("closed")] == []

    @pytest.mark.parametrize("folder", ["/app", "/tmp", "/dev/shm"])
    def test_a_full_disk_is_an_error_and_no_kill(self, intruder: Intruder, folder: str) -> None:
        code = f"""
import os
try:
    with open("{folder}/big", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
except OSError as error:
    say(error.strerror)
finally:
    os.unlink("{folder}/big")
"""
        assert intruder.run(code).strip() == "No space left on device"
        assert intruder.answers()

    @pytest.mark.parametrize(
        "bomb",
        [
            "hog = []\nwhile True: hog.append(bytes(10_000_000))",
            FORK_BOMB,
            "import os, time\nend = time.time() + 3\nwhile time.time() < end: os.write(1, b'x' * 99 + b'\\n')",
            "import os\nos.write(1, bytes(range(256)) * 40_000 + b'\\n')",
        ],
        ids=["memory", "fork", "log flood", "binary line of 10 MB"],
    )
    def test_only_the_one_that_does_it_suffers(
        self, platform: Platform, intruder: Intruder, neighbour: str, bomb: str
    ) -> None:
        with undisturbed(platform, neighbour) as load:
            intruder.run(bomb)
            until(intruder.answers, 60, "the intruder is served again", 0.2)
        assert load.bodies
        assert not load.failures, load.summary()

    @pytest.mark.alone
    def test_a_flood_is_counted_and_bounded(self, platform: Platform, intruder: Intruder) -> None:
        intruder.run("import os\nfor _ in range(300): os.write(1, (b'x' * 50 + b'\\n') * 500)")

        def lost() -> int:
            lines = [line for line in log_of(platform, intruder.app).splitlines() if "Error L10" in line]
            return sum(int(line.split("overflow): ")[1].split()[0]) for line in lines)

        until(lambda: lost() > 100_000, 30, "the loss is told", 0.5)
        assert log_of(platform, intruder.app).count("Error L10") < 60

    def test_one_that_ignores_sigterm_is_ended_all_the_same(
        self, platform: Platform, make_repository: Callable[..., Path]
    ) -> None:
        stubborn = apps.plain("stubborn")
        stubborn["server.py"] = "import signal\n" + stubborn["server.py"].replace(
            "signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        )
        folder = make_repository(files=stubborn)
        app = platform.create_app()
        assert platform.git_push(folder, app).code == 0
        before = containers(platform)
        commit(folder, "mild", apps.plain("mild"))
        pushed = platform.git_push(folder, app)
        assert pushed.code == 0, pushed.output
        assert pushed.seconds < 25, "nobody waits for its grace"
        assert platform.get(app).text.startswith("mild")
        until(lambda: before - containers(platform), 60, "it has been killed", 0.5)
        platform.api("DELETE", f"/apps/{app}")


class TestHostileBuild:
    @pytest.mark.parametrize("error_id", BUILD_BOMBS)
    def test_the_limit_is_named_as_the_cause(
        self, platform: Platform, neighbour: str, make_repository: Callable[..., Path], error_id: str
    ) -> None:
        script, words = BUILD_BOMBS[error_id]
        files = {**apps.node("greedy"), "bomb.sh": script}
        package = json.loads(files["package.json"])
        package["scripts"]["build"] = "sh bomb.sh"
        files["package.json"] = json.dumps(package)
        app = platform.create_app()
        with undisturbed(platform, neighbour) as load:
            pushed = platform.git_push(make_repository(files=files), app)
        assert pushed.code == 1
        assert words in re.sub(r"\s*\nremote:\s+!\s+", " ", pushed.output)
        assert platform.api("GET", f"/apps/{app}/builds").json()[0]["error_id"] == error_id
        assert not load.failures, load.summary()
        platform.api("DELETE", f"/apps/{app}")

    def test_an_archive_that_is_a_bomb_ends_with_its_own_error(self, platform: Platform) -> None:
        app = platform.create_app()
        for name, (data, error_id, words) in archive_bombs().items():
            blob = platform.api("POST", f"/apps/{app}/sources").json()["source_blob"]
            port = platform.port("PAAS_API_PORT")
            sent = request(port, "PUT", blob["put_url"].split(str(port), 1)[1], data, {})
            assert sent.status == 200, sent.text
            said = platform.api("POST", f"/apps/{app}/builds", {"source_blob": {"url": blob["get_url"]}})
            if said.status < 400:
                said = ended_build(platform, app, said.json()["id"])
            found = said.json()
            assert (found.get("error_id") or found["id"], words in found["message"]) == (error_id, True), (
                name,
                found,
            )
        platform.api("DELETE", f"/apps/{app}")

    def test_a_build_makes_no_device_and_no_program_with_anothers_rights(
        self, platform: Platform, make_repository: Callable[..., Path]
    ) -> None:
        files = {**apps.node("greedy"), "Procfile": "worker: sleep 1000\n"}
        files["bomb.sh"] = (
            "mknod disk b 8 0; mknod nothing c 1 3; cp /usr/bin/id . && chmod 6755 id && ./id -u\n"
        )
        package = json.loads(files["package.json"])
        package["scripts"]["build"] = "sh bomb.sh"
        files["package.json"] = json.dumps(package)
        app = platform.create_app()
        pushed = platform.git_push(make_repository(files=files), app)
        assert pushed.code == 0, pushed.output
        assert pushed.output.count("Operation not permitted") == 2, pushed.output
        told = [
            line
            for line in pushed.output.splitlines()
            if "The setuid or setgid bit was taken from id" in line
        ]
        assert len(told) == 1, pushed.output
        platform.api("DELETE", f"/apps/{app}")

    def test_whoever_waits_for_a_place_is_told(self, platform: Platform, tmp_path: Path) -> None:
        names = [platform.create_app() for _ in range(3)]
        folders = [repository(tmp_path / name, None, slow_build("one")) for name in names]
        pushes = []
        for name, folder in zip(names, folders, strict=True):
            pushes.append(Push.begin(platform, folder, name))
            if len(pushes) < 3:
                pushes[-1].await_line("building one")
        assert [push.end().code for push in pushes] == [0, 0, 0], pushes[2].text
        assert [push.saw("Waiting for a free build slot") for push in pushes] == [False, False, True]
        for name in names:
            platform.api("DELETE", f"/apps/{name}")


class TestClumsyClient:
    def test_a_chunked_body_is_read(self, platform: Platform) -> None:
        headers = {"Authorization": f"Bearer {platform.token}", "Transfer-Encoding": "chunked"}
        body = b'10\r\n{"name":"chunky"\r\n1\r\n}\r\n0\r\n\r\n'
        port = platform.port("PAAS_API_PORT")
        answer = request(port, "POST", "/apps", body, headers)
        assert answer.status == 201, answer.text
        assert answer.json()["name"] == "chunky"
        assert platform.api("DELETE", "/apps/chunky").status == 200
        broken = request(port, "POST", "/apps", b"zz\r\n{}\r\n0\r\n\r\n", headers)
        assert broken.status == 400, broken.text

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"name": "' + b"x" * 10_000_000 + b'"}', 413),
            (b'{"stack": "\\ud800"}', 400),
            (b'{"\\udfff": 1}', 400),
            (b"[" * 100_000, 400),
            (b'{"name": ["a"]}', 422),
            (b'{"name": "a\\u0000b"}', 422),
        ],
        ids=["10 MB", "surrogate", "surrogate key", "deep", "wrong type", "NUL"],
    )
    def test_bodies_that_are_no_good(self, platform: Platform, body: bytes, status: int) -> None:
        headers = {"Authorization": f"Bearer {platform.token}", "Content-Type": "application/json"}
        answer = request(platform.port("PAAS_API_PORT"), "POST", "/apps", body, headers)
        assert answer.status == status, answer.text
        assert answer.json()["message"]

    def test_many_changes_at_once(self, platform: Platform, tmp_path: Path) -> None:
        app = deployed(platform, tmp_path / "app", apps.plain("one"))

        def change(number: int) -> int:
            return platform.api("PATCH", f"/apps/{app}/config-vars", {f"K{number}": str(number)}).status

        with ThreadPoolExecutor(40) as pool:
            assert set(pool.map(change, range(40))) == {200}
        assert len(platform.api("GET", f"/apps/{app}/config-vars").json()) == 40
        releases = platform.api("GET", f"/apps/{app}/releases", Range="version ..; max=1000").json()
        assert [release["version"] for release in releases] == list(range(1, 43)), "no gap, no duplicate"

        def live() -> bool:
            seen = platform.get(app, "/env").text
            return all(f"('K{number}', '{number}')" in seen for number in range(40))

        until(live, 60, "every change is live", 0.3)
        one_instance = lambda: [  # noqa: E731
            (dyno["state"], dyno["release"]["version"])
            for dyno in platform.api("GET", f"/apps/{app}/dynos").json()
        ]
        until(lambda: one_instance() == [("up", 42)], 60, "one instance of the last release is left", 0.3)
        platform.api("DELETE", f"/apps/{app}")

    @pytest.mark.parametrize("moment", ["building one", "Launching"])
    def test_destroyed_in_the_middle(
        self, platform: Platform, make_repository: Callable[..., Path], tmp_path: Path, moment: str
    ) -> None:
        before = containers(platform)
        app = platform.create_app("doomed")
        id = platform.api("GET", "/apps/doomed").json()["id"]
        files = slow_build("one") if moment == "building one" else apps.plain("slow", boot=6)
        push = Push.begin(platform, make_repository(files=files), app)
        push.await_line(moment)
        assert platform.api("DELETE", "/apps/doomed").status == 200
        ended = push.end()
        assert ended.code == 1
        assert "the app was destroyed" in ended.output
        until(lambda: containers(platform) <= before, 60, "its containers are gone", 0.3)
        until(lambda: not list((platform.home / "repos").glob(f"{id}*")), 20, "its repository is gone", 0.3)
        until(lambda: platform.get("doomed").status == 404, 10, "its route is gone", 0.2)
        again = deployed(platform, tmp_path / "again", apps.plain("again"), "doomed")
        assert platform.get(again).text.startswith("again"), "the name can be used again"
        platform.api("DELETE", "/apps/doomed")


class TestBadLuck:
    def test_a_redis_that_hangs(self, platform: Platform, tmp_path: Path) -> None:
        app = deployed(platform, tmp_path / "app", apps.plain("one"))
        pid = platform.pid_of("redis")
        with ThreadPoolExecutor(1) as pool, undisturbed(platform, app) as load:
            os.kill(pid, signal.SIGSTOP)
            try:
                asked = time.monotonic()
                assert platform.api("GET", f"/apps/{app}").status == 200
                assert time.monotonic() - asked < 15, "a call is held up for seconds"
                change = pool.submit(
                    platform.api, "PATCH", f"/apps/{app}/config-vars", {"GREETING": "patient"}
                )
                until(lambda: time.monotonic() - asked > 12, 20, "a while has passed", 0.5)
            finally:
                os.kill(pid, signal.SIGCONT)
            assert change.result(60).status == 200
            until(lambda: platform.get(app, "/config").text == "patient", 60, "the change is live", 0.3)
        assert not load.failures, load.summary()
        platform.api("DELETE", f"/apps/{app}")

    def test_a_disk_that_is_full_for_a_while(
        self, free_ports: Callable[[int], list[int]], tmp_path: Path
    ) -> None:
        """Apps serve on, changes are refused in words, and all of it works again once there is space."""
        if os.geteuid() != 0:
            pytest.fail("mounts a small disk, which needs root")
        one = Platform.prepare(free_ports(len(PORTS)))
        image = tmp_path / "disk.img"
        with image.open("wb") as file:
            file.truncate(3 * 1024**3)
        subprocess.run(("mkfs.ext4", "-q", "-F", str(image)), check=True)
        subprocess.run(("mount", "-o", "loop", str(image), str(one.home)), check=True)
        try:
            one.start()
            lives_through_a_full_disk(one, tmp_path)
        finally:
            one.stop()
            subprocess.run(("umount", "--lazy", str(one.home)), check=True)
            one.home.rmdir()
            image.unlink()  # as large as it says by now, and pytest keeps its folders for a while

    def test_everything_is_killed_at_once(
        self, free_ports: Callable[[int], list[int]], tmp_path: Path
    ) -> None:
        one = Platform.prepare(free_ports(len(PORTS)))
        try:
            one.start()
            served = [deployed(one, tmp_path / name, apps.plain(name)) for name in ("first", "second")]
            before = containers(one)
            for pid in processes_of(one):
                os.kill(pid, signal.SIGKILL)
            one.wait()
            one.environ["PAAS_BUILD_TIMEOUT"] = "8"  # for the last of this
            one.start()
            for app in served:
                assert one.get(app).status == 200
                dynos = one.api("GET", f"/apps/{app}/dynos").json()
                assert [dyno["state"] for dyno in dynos] == ["up"]
            assert len(containers(one)) == len(before), "none twice, none left over"
            sleeps_too_long(one, tmp_path / "sleeper")
        finally:
            one.remove()


def sleeps_too_long(platform: Platform, folder: Path) -> None:
    """A build that does nothing ends at its time limit, which the pusher is told."""
    files = apps.node("sleeper")
    files["package.json"] = files["package.json"].replace('"start":', '"build": "sleep 1000", "start":')
    app = platform.create_app()
    pushed = platform.git_push(repository(folder, None, files), app)
    assert pushed.code == 1
    assert "build took longer than 8 seconds and was stopped" in pushed.output
    assert platform.api("GET", f"/apps/{app}/builds").json()[0]["error_id"] == "build_timeout"


def lives_through_a_full_disk(platform: Platform, tmp_path: Path) -> None:
    app = deployed(platform, tmp_path / "app", apps.plain("one"))
    filler = platform.home / "filler"
    with undisturbed(platform, app) as load:
        fill(filler)
        created = platform.api("POST", "/apps", {"name": "latecomer"})
        assert created.status in {201, 503}, created.text  # SQLite may have room in its log for one more
        if created.status == 503:
            assert created.json()["id"] == "storage_full"
        commit(tmp_path / "app", "two", apps.plain("two"))
        pushed = platform.git_push(tmp_path / "app", app)
        assert pushed.code == 1
        assert "disk of the platform is full" in pushed.output
        os.kill(platform.pid_of("worker"), signal.SIGKILL)
        until(
            lambda: "ended by SIGKILL" in platform.output.read_text(), 20, "the supervisor has seen it", 0.2
        )
        filler.unlink()

        def pushed_again() -> bool:
            return platform.git_push(tmp_path / "app", app, timeout=60).code == 0

        until(pushed_again, 120, "a push works again", 1)
    assert not load.failures, load.summary()
    assert platform.get(app).text.startswith("two")


def fill(file: Path) -> None:
    """Write until there is no room, down to the last block."""
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 4096):
            try:
                while True:
                    stream.write(b"\1" * size)
            except OSError:
                continue


def processes_of(platform: Platform) -> list[int]:
    """Return the supervisor and everything it started; not the containers, which belong to nobody."""
    mark = f"SUPERVISED_BY={platform.home}".encode()
    found = [platform.pid]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
