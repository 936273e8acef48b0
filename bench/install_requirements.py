"""Seconds to install the requirements of a Django app with 25 packages: this platform's builder beside plain pip.

In: nothing; a platform of its own is started and removed.  Out: a table: cold, one requirement added, nothing changed.

    bench/install_requirements.py [--rounds 3]

Both run in the same build container, one after the other, in the same build: bin/pre_compile makes a virtual
environment and runs `pip install -r requirements.txt` in it, then the builder installs the same file. pip's cache is
kept in the app's cache, as the builder's own is. `builder` is from the end of bin/pre_compile to the start of
bin/post_compile: environment, installation, bytecode, and keeping the result for the next build.
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

REQUIREMENTS = """\
django==5.2.8
djangorestframework==3.16.1
django-filter==25.2
django-cors-headers==4.9.0
django-extensions==4.1
django-storages==1.14.6
django-allauth==65.13.0
whitenoise==6.11.0
gunicorn==23.0.0
celery==5.5.3
redis==6.4.0
psycopg[binary]==3.2.12
pillow==12.0.0
requests==2.32.5
boto3==1.40.61
sentry-sdk==2.43.0
markdown==3.10
pyyaml==6.0.3
python-dateutil==2.9.0.post0
pydantic==2.12.3
httpx==0.28.1
jinja2==3.1.6
beautifulsoup4==4.14.2
lxml==6.0.2
cryptography==46.0.3
"""
ADDED = "humanize==4.14.0\n"
PRE = """\
#!/bin/sh
# The peer: what a shell script of one's own would do.
set -e
rm -rf /var/tmp/peer
began=$(date +%s.%N)
python3 -m venv /var/tmp/peer
/var/tmp/peer/bin/pip install --quiet --disable-pip-version-check --cache-dir /cache/peer -r requirements.txt
echo "peer seconds $(echo "$(date +%s.%N) $began" | awk '{print $1 - $2}')"
rm -rf /var/tmp/peer
date +%s.%N > /var/tmp/began
"""
POST = """\
#!/bin/sh
echo "builder seconds $(echo "$(date +%s.%N) $(cat /var/tmp/began)" | awk '{print $1 - $2}')"
"""
STEPS = ("cold", "one added", "unchanged")


def measure(platform: Platform, folder: Path) -> dict[str, tuple[float, float]]:
    """Push three times to one fresh app; (builder, pip) seconds per step."""
    app = platform.create_app()
    files = {"requirements.txt": REQUIREMENTS, "bin/pre_compile": PRE, "bin/post_compile": POST}
    files["Procfile"] = "worker: sleep 1000\n"
    source = repository(folder, files=files)
    found = {}
    for step in STEPS:
        if step != "cold":
            commit(source, step, {"requirements.txt": REQUIREMENTS + ADDED, "step.txt": step})
        pushed = platform.git_push(source, app)
        if pushed.code != 0:
            raise SystemExit(pushed.output)
        seconds = dict(re.findall(r"(builder|peer) seconds ([\d.]+)", pushed.output))
        found[step] = (float(seconds["builder"]), float(seconds["peer"]))
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
            results = [measure(platform, Path(work) / str(number)) for number in range(rounds)]
    finally:
        platform.remove()
    print(f"{len(REQUIREMENTS.splitlines())} requirements, median of {rounds}; seconds, and pip / builder")
    print(f"{'':12} {'builder':>8} {'pip':>8} {'ratio':>7}")
    for step in STEPS:
        builder, peer = (statistics.median(one[step][side] for one in results) for side in (0, 1))
        print(f"{step:12} {builder:8.2f} {peer:8.2f} {peer / builder:7.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
