"""What the second push costs: nothing changed, one line changed; a small app, and one with 200 MB of dependencies.

In: nothing; a platform of its own is started and removed.  Out: per push the seconds in the builder, of packaging and
of upload, and what the image store did not have yet; what is claimed of them; and how long plain pip takes, with a warm
cache and in the same sandbox, for the same dependencies alone.

    bench/rebuild.py [--rounds 3] [--only WORD]
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from install_requirements import PRE as PIP_FIRST  # noqa: E402

from tests.e2e.platform import PORTS, Platform, commit, repository  # noqa: E402
from tests.ports import free_ports  # noqa: E402

APP = "print('one')\n"
APPS = {
    "25 MB": "flask==3.1.2\ngunicorn==23.0.0\ndjango==5.2.8\n",
    "200 MB": "scipy==1.16.2\npandas==2.3.3\nnumpy==2.3.4\n",
}
STEPS = ("first", "unchanged", "one line")
UNCHANGED_SECONDS = 1.5  # in the builder, packaging and upload included
AGAIN_MB = 1.0  # of 200 MB of dependencies none may be sent again; the app itself is less than this
Push = tuple[float, float, float, float]


def push(platform: Platform, source: Path, app: str) -> Push:
    """(seconds in the builder's container, packaging and upload, MB in all, MB new)."""
    pushed = platform.git_push(source, app)
    if pushed.code != 0:
        raise SystemExit(pushed.output)
    build = max(platform.api("GET", f"/apps/{app}/builds").json(), key=lambda one: one["created_at"])
    told = re.search(
        r"Packaged: ([\d.]+) MB and ([\d.]+) MB of dependencies, ([\d.]+) MB of it new", pushed.output
    )
    if told is None:
        raise SystemExit(pushed.output)
    whole = float(told[1]) + float(told[2])
    return build["timings"]["build"], build["timings"]["package"], whole, float(told[3])


def measure(platform: Platform, folder: Path, requirements: str) -> dict[str, Push]:
    app = platform.create_app()
    files = {"requirements.txt": requirements, "app.py": APP, "Procfile": "worker: sleep 1000\n"}
    source = repository(folder, files=files)
    found = {"first": push(platform, source, app)}
    commit(source, "a note", {"NOTE": "changes nothing that is built\n"})
    found["unchanged"] = push(platform, source, app)
    commit(source, "one line", {"app.py": APP.replace("one", "two")})
    found["one line"] = push(platform, source, app)
    platform.api("DELETE", f"/apps/{app}")
    return found


def peer(platform: Platform, folder: Path, requirements: str) -> float:
    """Seconds of a virtual environment and `pip install` with a warm cache, in a build container."""
    app = platform.create_app()
    files = {
        "requirements.txt": requirements,
        "Procfile": "worker: sleep 1000\n",
        "bin/pre_compile": PIP_FIRST,
    }
    source = repository(folder, files=files)
    seconds = 0.0
    for step in ("cold", "warm"):
        commit(source, step, {"NOTE": step})
        pushed = platform.git_push(source, app)
        told = re.search(r"peer seconds ([\d.]+)", pushed.output)
        if pushed.code != 0 or told is None:
            raise SystemExit(pushed.output)
        seconds = float(told[1])
    platform.api("DELETE", f"/apps/{app}")
    return seconds


def claim(what: str, kept: bool) -> None:
    print(f"{'ok' if kept else 'MISSED':7}{what}")


def tell(name: str, found: list[dict[str, Push]], pip: float) -> None:
    median = {
        step: [statistics.median(one[step][index] for one in found) for index in range(4)] for step in STEPS
    }
    for step, values in median.items():
        print(f"{name:14}{step:12}{values[0]:9.2f}{values[1]:11.2f}{values[2]:9.1f}{values[3]:8.1f}")
    seconds = sum(median["unchanged"][:2])
    claim(
        f"{name} unchanged: {seconds:.2f} s in the builder (wanted: {UNCHANGED_SECONDS}); pip alone {pip:.2f} s, "
        f"pip / builder {pip / seconds:.1f}",
        seconds <= UNCHANGED_SECONDS,
    )
    sent = max(one["one line"][3] for one in found)
    claim(f"{name} one line: {sent:.1f} MB sent of {median['one line'][2]:.1f}", sent < AGAIN_MB)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="apps whose name holds this word")
    arguments = parser.parse_args()
    apps = {name: text for name, text in APPS.items() if arguments.only in name}
    platform = Platform.prepare(free_ports(len(PORTS)))
    try:
        platform.start()
        with tempfile.TemporaryDirectory() as work:
            results = {
                name: [
                    measure(platform, Path(work) / f"{number}-{len(name)}", text)
                    for number in range(arguments.rounds)
                ]
                for name, text in apps.items()
            }
            pips = {
                name: peer(platform, Path(work) / f"peer-{len(name)}", text) for name, text in apps.items()
            }
    finally:
        platform.remove()
    print(f"median of {arguments.rounds}")
    print(f"{'dependencies':14}{'push':12}{'build s':>9}{'package s':>11}{'slug MB':>9}{'new MB':>8}")
    for name, found in results.items():
        tell(name, found, pips[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
