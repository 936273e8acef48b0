"""Pushes one app to a platform and notes everything that an expectation can speak of.

In: an expectation, a platform.  Out: an `Outcome`; the app is destroyed again.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.apps.expectation import FOLDER, Ask, Expectation
from tests.e2e.platform import Answer, Platform, Pushed, git, repository, write_files

Send = Callable[[Platform, Path, str], Pushed]
AUTHOR = ("-c", "user.name=Dev", "-c", "user.email=dev@localhost")


@dataclass(frozen=True)
class Outcome:
    """`answers` belong to the expectation's requests, in order; `error` is the stable id, '' for none."""

    pushed: Pushed
    error: str = ""
    process_types: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    again: Outcome | None = None

    @property
    def lines(self) -> str:
        """What the pusher read, without git's `remote:` and with every run of blanks as one."""
        text = re.sub(r"^remote: ?", "", self.pushed.output, flags=re.MULTILINE)
        return squeezed(re.sub(r"\x1b\[K", "", text))


def squeezed(text: str) -> str:
    """Lines without their marks (`----->`, ` !`), wrapped text as one line: words matter, not their place."""
    marks = re.sub(r"^\s*(?:-----> |!( |$))", " ", text, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", marks)


def run_app(platform: Platform, expected: Expectation, folder: Path) -> Outcome:
    """Push the app to a fresh app of the platform, as often as its expectation says, and ask what it asks."""
    tree = completed_tree(expected, folder)
    app = made_app(platform, expected)
    try:
        send = zipped if expected.by == "zip" else Platform.git_push
        outcome = push_and_ask(platform, app, tree, expected.http, send)
        if expected.again is None or outcome.pushed.code != 0:
            return outcome
        write_files(tree, expected.again.write)
        git(tree, "add", "--all")
        git(tree, *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", "Again")
        second = push_and_ask(platform, app, tree, expected.again.http)
        return Outcome(outcome.pushed, outcome.error, outcome.process_types, outcome.answers, second)
    finally:
        platform.api("DELETE", f"/apps/{app}")


def completed_tree(expected: Expectation, folder: Path) -> Path:
    """Copy the tree, let its script add what this project's own repository should not hold, and commit."""
    folder.mkdir(parents=True)
    if expected.tree.is_dir():
        shutil.copytree(expected.tree, folder, symlinks=True, dirs_exist_ok=True)
    if expected.generate:
        script = (sys.executable, str(FOLDER / expected.generate))
        done = subprocess.run(script, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    return repository(folder)


def made_app(platform: Platform, expected: Expectation) -> str:
    answer = platform.api("POST", "/apps", {"stack": expected.stack})
    assert answer.status == 201, answer.text
    app = str(answer.json()["name"])
    if expected.config:
        said = platform.api("PATCH", f"/apps/{app}/config-vars", dict(expected.config))
        assert said.status == 200, said.text
    if expected.buildpacks:
        updates = [{"buildpack": name} for name in expected.buildpacks]
        said = platform.api("PUT", f"/apps/{app}/buildpack-installations", {"updates": updates})
        assert said.status == 200, said.text
    return app


def zipped(platform: Platform, tree: Path, app: str) -> Pushed:
    """Upload the commit as a zip archive by the `paas` command, and follow its build."""
    archive = tree.with_suffix(".zip")
    git(tree, "archive", "--format=zip", f"--prefix={tree.name}-main/", "-o", str(archive), "HEAD")
    environ = platform.environ | {"PAAS_URL": f"http://127.0.0.1:{platform.port('PAAS_API_PORT')}"}
    command = (
        sys.executable,
        "-m",
        "paas.cli.main",
        "builds:create",
        "-a",
        app,
        "--source-tar",
        str(archive),
    )
    done = subprocess.run(
        command,
        env=environ | {"PAAS_TOKEN": platform.token},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Pushed(done.returncode, done.stdout + done.stderr, 0.0)


def push_and_ask(
    platform: Platform, app: str, tree: Path, asks: Sequence[Ask], send: Send = Platform.git_push
) -> Outcome:
    pushed = send(platform, tree, app)
    if pushed.code != 0:
        return Outcome(pushed, error_of(platform, app))
    answers = tuple(answer_to(platform, app, ask) for ask in asks)
    return Outcome(pushed, "", process_types_of(platform, app), answers)


def error_of(platform: Platform, app: str) -> str:
    """Return the id of the newest build's error, else of the newest deployment's; '' when git refused the push."""
    for noun in ("builds", "deployments"):
        newest = newest_of(platform.api("GET", f"/apps/{app}/{noun}").json())
        if newest and newest["error_id"]:
            return str(newest["error_id"])
    return ""


def newest_of(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return max(rows, key=lambda row: row["created_at"], default=None)


def process_types_of(platform: Platform, app: str) -> dict[str, str]:
    build = newest_of(platform.api("GET", f"/apps/{app}/builds").json())
    assert build is not None and build["slug"], "a push that went well has a build with a slug"
    return dict(platform.api("GET", f"/apps/{app}/slugs/{build['slug']['id']}").json()["process_types"])


def answer_to(platform: Platform, app: str, ask: Ask) -> Answer:
    body = ask.send.encode() if ask.send else None
    return platform.get(app, ask.path, ask.method, body, **ask.send_headers)
