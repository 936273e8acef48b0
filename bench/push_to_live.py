"""Seconds from `git push` to the first answer of the new code, per phase, on a running platform.

In: a ready file (script/up --ready-file FILE).  Out: a table: first push, one-line changes with a warm cache.

    bench/push_to_live.py READY_FILE [--rounds 5] [--example python-web-worker]

`push` is what the user waits for (git's own process, start to end). `live` is when a client that asks every 10 ms
gets the first answer of the new code. The phases are what the platform measured itself. Beside it stands a local
reference doing the same work without a platform: `git push` to a bare repository on the same disk whose hook checks
the code out, installs the requirements with uv into a warm virtual environment and starts gunicorn until it answers.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0


def call(ready: dict[str, Any], method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        ready["api_url"] + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {ready['token']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def git(folder: Path, *arguments: str, **environ: str) -> None:
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(
        ("git", *arguments),
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, **quiet, **environ},
    )


def change(folder: Path, marker: str) -> None:
    """The one-line change: the page shows the marker."""
    file = folder / "app.py"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("MARKER = ")]
    route = (
        []
        if any("/marker" in line for line in lines)
        else ["", "", "@app.get('/marker')", "def marker():", "    return MARKER"]
    )
    file.write_text("\n".join([*lines, *route, f"MARKER = {marker!r}"]) + "\n")
    git(folder, "add", "--all")
    git(
        folder, "-c", "user.name=Bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", marker
    )


class Watch(threading.Thread):
    """Asks until the marker answers; `seconds` is when it did, counted from the start."""

    def __init__(self, port: int, host: str, marker: str) -> None:
        super().__init__(daemon=True)
        self._port, self._host, self._marker = port, host, marker
        self._began = time.monotonic()
        self.seconds = float("nan")

    def run(self) -> None:
        while time.monotonic() - self._began < PATIENCE:
            if ask(self._port, self._host) == self._marker:
                self.seconds = time.monotonic() - self._began
                return
            time.sleep(0.01)


def ask(port: int, host: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/marker", headers={"Host": host})
        return connection.getresponse().read().decode(errors="replace")
    except OSError:
        return ""
    finally:
        connection.close()


def timed_push(
    folder: Path, port: int, host: str, marker: str, url: str, **environ: str
) -> tuple[float, float]:
    """Push and return (push, live) in seconds."""
    watch = Watch(port, host, marker)
    watch.start()
    began = time.monotonic()
    git(folder, "push", url, "main", **environ)
    pushed = time.monotonic() - began
    watch.join(PATIENCE)
    return pushed, watch.seconds


def phases(ready: dict[str, Any], app: str) -> dict[str, float]:
    build = call(ready, "GET", f"/apps/{app}/builds")[-1]
    deployments = call(ready, "GET", f"/apps/{app}/deployments")
    release = build["release"]["id"]
    deployment = next(one for one in deployments if one["release"]["id"] == release)
    return {**build["timings"], **deployment["timings"]}


class Reference:
    """The same work without a platform: hook, checkout, uv, gunicorn. Nothing is isolated, checked or kept."""

    HOOK = """#!/bin/sh
set -e
cd {work}
GIT_DIR={bare} GIT_WORK_TREE={work} git checkout -qf main
{uv} pip install -q --python {venv}/bin/python -r requirements.txt
[ -f ../pid ] && kill "$(cat ../pid)" 2> /dev/null || true
for i in $(seq 100); do [ -f ../pid ] && kill -0 "$(cat ../pid)" 2> /dev/null && sleep 0.02 || break; done
{venv}/bin/gunicorn --bind 127.0.0.1:{port} --pid ../pid --daemon app:app
for i in $(seq 500); do
  {venv}/bin/python -c 'import socket; socket.create_connection(("127.0.0.1", {port}), 1)' 2> /dev/null && break
  sleep 0.02
done
"""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bare, self.work, self.venv = (
            folder,
            folder / "app.git",
            folder / "work",
            folder / "venv",
        )
        with socket.create_server(("127.0.0.1", 0)) as one:
            self.port = one.getsockname()[1]
        self.work.mkdir(parents=True)
        subprocess.run(("git", "init", "--quiet", "--bare", "-b", "main", str(self.bare)), check=True)
        uv = Path(sys.executable).parent / "uv"
        subprocess.run((str(uv), "venv", "-q", "--python", "/usr/bin/python3", str(self.venv)), check=True)
        hook = self.bare / "hooks" / "post-receive"
        hook.write_text(
            self.HOOK.format(bare=self.bare, work=self.work, venv=self.venv, uv=uv, port=self.port)
        )
        hook.chmod(0o755)

    def close(self) -> None:
        pid = self.folder / "pid"
        if pid.exists():
            os.kill(int(pid.read_text()), 15)


def row(name: str, push: float, live: float, parts: dict[str, float]) -> str:
    told = "  ".join(f"{phase} {seconds:.2f}" for phase, seconds in parts.items())
    return f"{name:<22} push {push:6.2f} s   live {live:6.2f} s   {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("ready_file", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--example", default="python-web-worker")
    options = parser.parse_args()
    ready = json.loads(options.ready_file.read_text())
    port = int(ready["router_url"].rpartition(":")[2])
    basic = base64.b64encode(f"token:{ready['token']}".encode()).decode()
    header = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
    app = call(ready, "POST", "/apps", {})["name"]
    place = Path(tempfile.mkdtemp(prefix="bench-push-"))
    reference = Reference(place / "reference")
    try:
        source = place / "source"
        shutil.copytree(ROOT / "examples" / options.example, source)
        git(source, "init", "--quiet", "-b", "main")
        ours, theirs = [], []
        for number in range(options.rounds + 1):
            marker = f"marker-{number}"
            change(source, marker)
            push, live = timed_push(
                source, port, f"{app}.{ready['domain']}", marker, f"{ready['git_url']}/{app}.git", **header
            )
            name = "first push" if number == 0 else f"one line, round {number}"
            print(row(name, push, live, phases(ready, app)), flush=True)
            other_push, other_live = timed_push(
                source, reference.port, "localhost", marker, str(reference.bare)
            )
            print(row("  reference (no PaaS)", other_push, other_live, {}), flush=True)
            if number:
                ours.append(live)
                theirs.append(other_live)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(
            f"one line, median live: ours {statistics.median(ours):.2f} s, reference {statistics.median(theirs):.2f} s"
        )
        print(f"ratio {ratio:.2f} (pair by pair, median)")
    finally:
        reference.close()
        call(ready, "DELETE", f"/apps/{app}")
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
