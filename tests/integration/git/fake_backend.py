"""A git backend on files: one token, apps are folders' names, a build does what the file `plan` in ROOT says.

In: ROOT/plan (lines: `line TEXT`, `wait FILE`, `fail TEXT`, `refuse TEXT`, `sleep`).  Out: ROOT/calls, one line a call.
"""

from __future__ import annotations

import hmac
import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from paas.controller.git.port import Account, AppRepository, BuildEvent, GitRefused

TOKEN = "token-of-ada"


class FileBackend:
    """Implements `GitBackend`."""

    def __init__(self) -> None:
        self._root: Path = settings.ROOT
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def authenticate(self, user: str, password: str) -> Account | None:
        return Account("1", "ada@example.com") if hmac.compare_digest(password, TOKEN) else None

    def open_app(self, account: Account, name: str, write: bool) -> AppRepository | None:
        if not (self._root / "apps" / name).exists():
            return None
        suspended = (self._root / "apps" / name).read_text()
        return AppRepository(f"id-{name}", name, self._root / "repos" / f"id-{name}.git", suspended=suspended)

    def start_build(
        self,
        account: Account,
        repo: AppRepository,
        *,
        commit: str,
        branch: str,
        source_tar: Path,
        message: str,
        received: float,
    ) -> str:
        for line in self._plan():
            if line.startswith("refuse "):
                raise GitRefused(line.removeprefix("refuse "))
        with self._lock:
            build = f"b{next(self._numbers)}"
        shutil.copyfile(source_tar, self._root / f"{repo.name}.tar")
        self._call("start", repo.name, branch, commit, message)
        return build

    def build_events(self, build_id: str, timeout: float) -> Iterator[BuildEvent]:
        for line in self._plan():
            word, _, text = line.partition(" ")
            if word == "line":
                yield BuildEvent("line", text)
            elif word == "wait":
                yield from self._wait(self._root / text, timeout)
            elif word == "fail":
                yield BuildEvent("done", text, ok=False)
                return
        yield BuildEvent("done", ok=True)

    def confirm(self, build_id: str, commit: str) -> None:
        self._call("confirm", build_id, commit)

    def cancel_build(self, build_id: str) -> None:
        self._call("cancel", build_id)

    def _wait(self, file: Path, timeout: float) -> Iterator[BuildEvent]:
        self._call("waiting", file.name)
        while not file.exists():
            time.sleep(min(0.02, timeout))
            yield BuildEvent("keepalive")

    def _plan(self) -> list[str]:
        plan = self._root / "plan"
        return plan.read_text().splitlines() if plan.exists() else []

    def _call(self, *words: str) -> None:
        with self._lock, (self._root / "calls").open("a") as calls:
            calls.write(" ".join(words) + "\n")
