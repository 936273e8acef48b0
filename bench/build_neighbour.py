"""An app's answers beside builds: an ordinary one, and a bomb of each kind as a build.

In: root; a platform of its own is started and removed.  Out: p50 and p99 of the app idle and beside each build, asked
through the router in turns, their ratio, and with which error each bomb ended.

    bench/build_neighbour.py [--rounds 3] [--only WORD] [--seconds 6]

A round asks for so long idle, then from the start of a build on until it has ended (and at least as long). Who asks has
a session of its own with the router's precedence, idle and beside: visitors do not compete with builds for processors.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import io
import json
import multiprocessing
import os
import re
import statistics
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from paas.router import precedence  # noqa: E402
from tests.e2e import apps  # noqa: E402
from tests.e2e.platform import PORTS, Platform, repository, request, until  # noqa: E402
from tests.ports import free_ports  # noqa: E402

WANTED = 2.0
PAUSE = 0.002
BUILD_TIMEOUT = 20  # seconds; for the sleeping bomb
ORDINARY = "tar -cf - /usr/lib/python3 | gzip -1 > x.gz; rm x.gz\n"
DEVICE = "mknod /app/disk b 8 0 || exit 7\n"
Member = tuple[str, bytes, int, str]  # name, kind, mode, link


@dataclass(frozen=True)
class Bomb:
    """`script` runs as the app's build step; or `archive` is uploaded. `error`: the id with which it must end."""

    name: str
    error: str | None
    script: str = ""
    archive: Callable[[], bytes] | None = None
    says: str = ""
    config: dict[str, str] = field(default_factory=dict)


def tar_of(*members: Member) -> bytes:
    """An archive of empty members beside a Procfile."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        body = b"web: sleep 1000\n"
        head = tarfile.TarInfo("Procfile")
        head.size = len(body)
        tar.addfile(head, io.BytesIO(body))
        for name, kind, mode, link in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.devmajor, entry.devminor = kind, mode, link, 8, 0
            tar.addfile(entry)
    return target.getvalue()


def inflating() -> bytes:
    """3 GB of zeros in 3 MB: more than a source may have unpacked."""
    entry = tarfile.TarInfo("zeros")
    entry.size = 3 * 1024**3
    piece = bytes(16 * 1024**2)
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as packed:
        packed.write(entry.tobuf())
        for _ in range(entry.size // len(piece)):
            packed.write(piece)
    return target.getvalue()


BUILDS = (
    Bomb("ordinary build", None, ORDINARY),
    Bomb("fork", "build_processes", "while true; do sleep 100 & done\n"),
    Bomb(
        "memory",
        "build_memory",
        "exec node -e 'const a = []; while (true) a.push(Buffer.alloc(5e7, 1))'\n",
    ),
    Bomb("disk", "build_disk_full", "fallocate -l 3000M a && cat /dev/zero > b\n"),
    Bomb("output", "build_output_too_large", "exec yes 'and so on'\n"),
    Bomb("sleep", "build_timeout", "sleep 1000\n"),
    Bomb("tar", "source_too_large", archive=inflating),
    Bomb("symlink", "source_refused", archive=lambda: tar_of(("out", tarfile.SYMTYPE, 0o777, "/etc/shadow"))),
    Bomb(
        "setuid",
        None,
        "cp /usr/bin/id . && chmod 6755 id && ./id -u\n",
        says="The setuid or setgid bit was taken from id",
    ),
    Bomb("device node", "source_invalid", archive=lambda: tar_of(("disk", tarfile.BLKTYPE, 0o666, ""))),
    Bomb("device in build", "build_script_failed", DEVICE, says="Operation not permitted"),
)


def be_a_visitor() -> None:
    os.setsid()
    precedence.take()
    precedence.take_for_session(os.getpid())


def ask(port: int, host: str, until_file: str, seconds: float) -> list[float]:
    """Ask for `seconds`, and on until the file is there; seconds of each answer, a new connection for each."""
    times: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds or (until_file and not os.path.exists(until_file)):  # noqa: PTH110
        begun = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        times.append(time.perf_counter() - begun)
        if answer.status != 200:
            raise SystemExit(f"the neighbour answered {answer.status}")
        time.sleep(PAUSE)
    return times


@dataclass
class Place:
    """The platform, its quiet app, and who asks it."""

    platform: Platform
    visitor: ProcessPoolExecutor
    work: Path
    seconds: float
    count: int = 0

    def ask(self, until_file: str = "") -> list[float]:
        port, host = self.platform.port("PAAS_ROUTER_PORT"), f"neighbour.{self.platform.domain}"
        return self.visitor.submit(ask, port, host, until_file, self.seconds).result()

    def beside(self, bomb: Bomb) -> tuple[list[float], str]:
        """Answers while `bomb` is built, and what became of it."""
        self.count += 1
        done = self.work / f"done-{self.count}"
        ended: list[str] = []

        def run() -> None:
            try:
                ended.append(self.build(bomb))
            finally:
                done.touch()

        builder = threading.Thread(target=run)
        builder.start()
        times = self.ask(str(done))
        builder.join()
        return times, ended[0] if ended else "the build could not be asked for"

    def build(self, bomb: Bomb) -> str:
        """Return the error's id, or what the output must say, or what went wrong."""
        app = self.platform.create_app()
        try:
            output, error = self.uploaded(bomb, app) if bomb.archive else self.pushed(bomb, app)
        finally:
            self.platform.api("DELETE", f"/apps/{app}")
        if bomb.says and bomb.says not in output:
            return f"{error or 'no error'}, without the words {bomb.says!r}"
        return error or (bomb.says and "built, with a warning") or "built"

    def pushed(self, bomb: Bomb, app: str) -> tuple[str, str]:
        files = {**apps.node("bomb"), "bomb.sh": bomb.script, "Procfile": "worker: sleep 1000\n"}
        package = json.loads(files["package.json"])
        package["scripts"]["build"] = "sh bomb.sh"
        files["package.json"] = json.dumps(package)
        source = repository(self.work / f"source-{self.count}", files=files)
        pushed = self.platform.git_push(source, app)
        builds = self.platform.api("GET", f"/apps/{app}/builds").json()
        words = re.sub(r"\s*\nremote:\s+!\s+", " ", pushed.output)
        return words, str(builds[0]["error_id"] or "") if builds else "refused by git"

    def uploaded(self, bomb: Bomb, app: str) -> tuple[str, str]:
        assert bomb.archive is not None
        blob = self.platform.api("POST", f"/apps/{app}/sources").json()["source_blob"]
        port = self.platform.port("PAAS_API_PORT")
        sent = request(port, "PUT", blob["put_url"].split(str(port), 1)[1], bomb.archive(), {})
        if sent.status >= 400:
            return sent.text, str(sent.json()["id"])
        asked = self.platform.api("POST", f"/apps/{app}/builds", {"source_blob": {"url": blob["get_url"]}})
        if asked.status >= 400:
            return asked.text, str(asked.json()["id"])
        path = f"/apps/{app}/builds/{asked.json()['id']}"
        until(
            lambda: self.platform.api("GET", path).json()["status"] != "pending", 120, "the build ended", 0.2
        )
        found = self.platform.api("GET", path).json()
        return str(found["message"]), str(found["error_id"] or "")


def p(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def measure(place: Place, bomb: Bomb, rounds: int) -> bool:
    idle: list[float] = []
    beside: list[float] = []
    ratios, ends = [], set()
    for _ in range(rounds):
        quiet = place.ask()
        loud, end = place.beside(bomb)
        ratios.append(p(loud, 0.99) / p(quiet, 0.99))
        idle += quiet
        beside += loud
        ends.add(end)
    ratio = statistics.median(ratios)
    wanted = {bomb.error or ("built, with a warning" if bomb.says else "built")}
    good = ratio <= WANTED and ends == wanted
    print(
        f"  {bomb.name:16} idle p50 {p(idle, 0.5):6.2f} p99 {p(idle, 0.99):6.2f} ms   "
        f"beside p50 {p(beside, 0.5):6.2f} p99 {p(beside, 0.99):6.2f} ms   p99 x {ratio:5.2f} "
        f"{'ok' if ratio <= WANTED else 'MISSED'}   {', '.join(sorted(ends))} "
        f"{'ok' if ends == wanted else f'MISSED, wanted {wanted}'}",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="builds whose name holds this word")
    parser.add_argument("--seconds", type=float, default=6.0, help="of asking, at least")
    arguments = parser.parse_args()
    platform = Platform.prepare(free_ports(len(PORTS)), PAAS_BUILD_TIMEOUT=str(BUILD_TIMEOUT))
    visitor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), be_a_visitor)
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    try:
        platform.start()
        with tempfile.TemporaryDirectory() as work:
            place = Place(platform, visitor, Path(work), arguments.seconds)
            app = platform.create_app("neighbour")
            pushed = platform.git_push(repository(Path(work) / "calm", files=apps.plain("calm")), app)
            if pushed.code != 0:
                raise SystemExit(pushed.output)
            for bomb in BUILDS:
                if arguments.only in bomb.name:
                    measure(place, bomb, arguments.rounds)
    finally:
        visitor.shutdown()
        platform.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
