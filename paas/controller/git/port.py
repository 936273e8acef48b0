"""The port between git's wire and the rest of the controller: accounts, apps, builds.

The class that `settings.PAAS_GIT_BACKEND` names implements `GitBackend`; one instance serves all threads of a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string


class GitRefused(Exception):
    """A push, clone or build that is not going to happen. `str(error)` is shown to the user as it is: one line."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks. `id` is the backend's own key, `email` is for messages."""

    id: str
    email: str


@dataclass(frozen=True, slots=True)
class AppRepository:
    """An app's bare repository. `path` may not exist yet; `suspended` is a sentence that refuses pushes, or ''."""

    app_id: str
    name: str
    path: Path
    deploy_branches: tuple[str, ...] = ("main", "master")
    suspended: str = ""


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """A line of output, a sign of life, or the end (`text` is then the reason if not `ok`)."""

    kind: Literal["line", "keepalive", "done"]
    text: str = ""
    ok: bool = False


class GitBackend(Protocol):
    """What git over HTTP needs of the controller. Methods are called from many threads."""

    def authenticate(self, user: str, password: str) -> Account | None:
        """Return the account of the token given as `password` (any user name), or None."""

    def open_app(self, account: Account, name: str, write: bool) -> AppRepository | None:
        """Return the app's repository; None both for unknown and for not yours, so that names cannot be probed."""

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
        """Start building `commit`, whose push took `received` seconds so far; the build's id. Raises GitRefused.

        `source_tar` is an uncompressed tar of the commit's files. It is removed when the push ends, whatever the end:
        whoever builds elsewhere or later takes it (rename or hard link keep it) before this method returns.
        """

    def build_events(self, build_id: str, timeout: float) -> Iterator[BuildEvent]:
        """Yield what happens until and including `done`; a `keepalive` whenever `timeout` seconds brought nothing."""

    def confirm(self, build_id: str, commit: str) -> None:
        """The branch now points to `commit`."""

    def cancel_build(self, build_id: str) -> None:
        """Nobody waits for the build any more, or its ref could not move: stop it. Repeatable, also after the end."""


@cache
def _backend(path: str) -> GitBackend:
    return cast(GitBackend, import_string(path)())


def backend() -> GitBackend:
    """Return this process' backend, named by `settings.PAAS_GIT_BACKEND`."""
    return _backend(settings.PAAS_GIT_BACKEND)
