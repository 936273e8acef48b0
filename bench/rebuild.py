"""What the second push costs: nothing changed, one line changed; a small app, and one with 200 MB of dependencies.

In: nothing; a platform of its own is started and removed.  Out: per push the seconds in the builder, of packaging and
of upload, and what the image store did not have yet.

    bench/rebuild.py [--rounds 3]
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

from tests.e2e.platform import PORTS, Platform, commit, repository  # noqa: E402
from tests.ports import free_ports  # noqa: E402

APP = "print('one')\n"
APPS = {
    "25 MB": "flask==3.1.2\ngunicorn==23.0.0\ndjango==5.2.8\n",
    "200 MB": "scipy==1.16.2\npandas==2.3.3\nnumpy==2.3.4\n",
}
STEPS = ("first", "unchanged", "one line")
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    platform = Platform.prepare(free_ports(len(PORTS)))
    try:
        platform.start()
        with tempfile.TemporaryDirectory() as work:
            results = {
                name: [
                    measure(platform, Path(work) / f"{number}-{len(name)}", text) for number in range(rounds)
                ]
                for name, text in APPS.items()
            }
    finally:
        platform.remove()
    print(f"median of {rounds}")
    print(f"{'dependencies':14}{'push':12}{'build s':>9}{'package s':>11}{'slug MB':>9}{'new MB':>8}")
    for name, found in results.items():
        for step in STEPS:
            values = [statistics.median(one[step][index] for one in found) for index in range(4)]
            print(f"{name:14}{step:12}{values[0]:9.2f}{values[1]:11.2f}{values[2]:9.1f}{values[3]:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
