"""The build of a pushed commit, as its pusher sees it.

In: the commit, in quarantine.  Out: a generator of lines (None is a keepalive) that returns the id of a build that
succeeded; GitRefused with the reason otherwise. A build that nobody waits for any more is cancelled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator

from django.db import connections

from paas.controller.git.export import commit_subject, write_source_tar
from paas.controller.git.packstore import open_store
from paas.controller.git.policy import Command
from paas.controller.git.port import BuildEvent, GitRefused
from paas.controller.git.push import ClientGone, Push
from paas.controller.git.quarantine import Quarantine
from paas.controller.git.repositories import pack_folder

logger = logging.getLogger(__name__)

Lines = Generator[str | None, None, str]
_SUBMODULE = "Warning: {} is a submodule; its files are not part of the push and not deployed."


def build(push: Push, command: Command, quarantine: Quarantine) -> Lines:
    """Export the commit, start its build and follow it to its end."""
    commit = bytes.fromhex(command.new.decode())
    tar = quarantine.folder / "source.tar"
    with open_store(quarantine.folder, quarantine.packs, pack_folder(push.app.path)) as store:
        exported = write_source_tar(store, commit, tar, push.limits)
        message = commit_subject(store, commit)
    for path in exported.submodules:
        yield _SUBMODULE.format(path)
    build_id = push.backend.start_build(
        push.account,
        push.app,
        commit=commit.hex(),
        branch=command.branch,
        source_tar=tar,
        message=message,
        received=time.monotonic() - push.began,
    )
    ended = False
    try:
        end = yield from _follow(push, build_id)
        ended = True
    finally:
        if not ended:
            cancel(push, build_id)
    if not end.ok:
        raise GitRefused(end.text or "the build failed")
    return build_id


def cancel(push: Push, build_id: str) -> None:
    """Stop a build; a failure to do so must not hide why it is stopped."""
    try:
        push.backend.cancel_build(build_id)
    except Exception:
        logger.exception("could not cancel build %s", build_id)


def _follow(push: Push, build_id: str) -> Generator[str | None, None, BuildEvent]:
    """Yield the build's output; returns its last event."""
    silence = push.limits.build_silence
    heard = time.monotonic()
    connections.close_all()
    for event in push.backend.build_events(build_id, push.limits.keepalive):
        if event.kind == "done":
            return event
        if push.body.is_abandoned():
            raise ClientGone
        if event.kind == "line":
            heard = time.monotonic()
        if time.monotonic() - heard > silence:
            raise GitRefused(f"nothing was heard of the build for {silence:.0f} seconds; it was cancelled")
        yield event.text if event.kind == "line" else None
    raise GitRefused("the build ended without a result; push again")
