"""Languages that a Debian stack gets when an app needs one: made for real, through the death of who makes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import debian_stack
from tests.e2e.platform import ROOT, Platform, repository, until
from tests.e2e.test_kill import Push, restarted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

APPS = ROOT / "tests" / "apps"


def ruby_app(folder: Path) -> Path:
    """The Ruby app of tests/apps, with its gems in vendor/cache."""
    shutil.copytree(APPS / "ruby-rack", folder)
    subprocess.run([sys.executable, str(APPS / "ruby-rack.py")], cwd=folder, check=True)
    return repository(folder)


def working_below(folder: Path) -> list[str]:
    """Processes whose command line names the folder: apt-get and what starts it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and "install" in command:
            found.append(f"{entry.name} {command[:200]}")
    return found


def test_ruby_is_added_to_a_debian_stack_though_its_worker_is_killed(
    platform: Platform, tmp_path: Path
) -> None:
    """The next worker makes it anew, builds and serves; nothing of the killed one is left, nothing locked."""
    stack = debian_stack.add_to(platform)
    language = platform.home / "stacks" / stack / "ruby"
    app = str(platform.api("POST", "/apps", {"stack": stack}).json()["name"])
    push = Push.begin(platform, ruby_app(tmp_path / "app"), app)
    push.await_line("Adding Ruby to the stack debian-13")
    push.await_line("newly installed")
    worker = platform.pid_of("worker")
    assert working_below(language / "making"), "apt-get is at work"
    os.kill(worker, signal.SIGKILL)
    until(lambda: not working_below(language / "making"), 20, "apt-get ends with its worker")
    restarted(platform, "worker", worker)
    ended = push.end(300)
    assert ended.code == 0, ended.output
    assert ended.output.count("Adding Ruby to the stack debian-13") == 2, ended.output
    assert "Ruby app detected" in ended.output
    assert (
        platform.get(app).text
        == "Hello from a gem of the repository production compiled with dummy 1 in assets"
    )
    assert sorted(one.name.partition("-")[0] for one in language.iterdir()) == [
        "build",
        "language.json",
        "lock",
        "run",
    ]
    assert working_below(language) == []
    again = platform.git_push(ruby_app(tmp_path / "again"), app, "+main")
    assert again.code == 0, again.output
    assert "Adding Ruby" not in again.output, "it is made once for all apps"
    platform.api("DELETE", f"/apps/{app}")
