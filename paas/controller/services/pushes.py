"""What git over HTTP needs of the controller: `paas.controller.git.port.GitBackend` on rows and Redis.

In: a push that has been received.  Out: its build's lines and how it ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from paas.controller import streams
from paas.controller.git.port import Account, AppRepository, BuildEvent, GitRefused
from paas.controller.models import Build, User
from paas.controller.redis_connection import RedisError, client
from paas.controller.selectors import builds as builds_selector
from paas.controller.selectors.apps import access_app
from paas.controller.services import accounts, builds, events
from paas.controller.services.apps import repository_path
from paas.errors import NotFound, PaasError

PUSHER_SECONDS = 8  # how long a push that shows no sign of life counts as alive


class PushBackend:
    """Accounts, apps and builds for the git process. Stateless; called from many threads."""

    def authenticate(self, user: str, password: str) -> Account | None:
        found = accounts.authenticate_token(password) if password else None
        return Account(str(found[0].id), found[0].email) if found else None

    def open_app(self, account: Account, name: str, write: bool) -> AppRepository | None:
        try:
            app = access_app(User.objects.get(id=account.id), name)
        except (NotFound, User.DoesNotExist):
            return None
        return AppRepository(app_id=str(app.id), name=app.name, path=Path(repository_path(app)))

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
        try:
            user = User.objects.get(id=account.id)
            app = access_app(user, repo.app_id)
            build = builds.create_build(
                user,
                app,
                source_file=source_tar,
                commit=commit,
                commit_message=message,
                origin="git",
                received=received,
            )
        except PaasError as error:
            raise GitRefused(error.message) from error
        except User.DoesNotExist as error:
            raise GitRefused("Your account has been deleted.") from error
        self._stay(str(build.id))
        return str(build.id)

    def build_events(self, build_id: str, timeout: float) -> Iterator[BuildEvent]:
        stayed = 0.0
        for step in builds_selector.follow(build_id, min(timeout, PUSHER_SECONDS / 3)):
            if time.monotonic() - stayed > PUSHER_SECONDS / 3:
                stayed = time.monotonic()
                self._stay(build_id)
            if step.outcome is not None:
                yield BuildEvent("done", step.outcome.reason, step.outcome.ok)
                return
            if step.line is not None:
                yield BuildEvent("line", step.line)
            else:
                yield BuildEvent("keepalive")

    def confirm(self, build_id: str, commit: str) -> None:
        build = Build.objects.select_related("app", "user").filter(id=build_id).first()
        if build is not None:
            events.record(build.user, "push.accept", build.id, build.app, commit=commit)
        connection.close()

    def cancel_build(self, build_id: str) -> None:
        build = Build.objects.select_related("app", "user").filter(id=build_id).first()
        if build is not None:
            builds.cancel_build(build.user, build)
        connection.close()

    def _stay(self, build_id: str) -> None:
        """Show that somebody waits; without it the worker ends the build."""
        try:
            client().set(streams.pusher(build_id), "1", ex=PUSHER_SECONDS)
        except RedisError:
            return
