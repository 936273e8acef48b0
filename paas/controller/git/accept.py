"""The last step of a push: its objects stay and its refs move.

In: a verdict whose build (if any) succeeded, and the quarantined pack.  Out: a status per ref, "ok" or what is wrong;
the backend has confirmed, or the ref is back where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dulwich.objects import ObjectID
from dulwich.refs import Ref

from paas.controller.git.ingest import Ingested
from paas.controller.git.objects import commit_parents
from paas.controller.git.packstore import PackStore, open_store, pack_paths
from paas.controller.git.policy import Command, Verdict
from paas.controller.git.push import Push
from paas.controller.git.quarantine import Quarantine
from paas.controller.git.repack import consolidate
from paas.controller.git.repositories import pack_folder, point_head

logger = logging.getLogger(__name__)


def accept(
    push: Push,
    verdict: Verdict,
    quarantine: Quarantine,
    received: Ingested,
    cut: Iterable[bytes],
    build_id: str,
) -> dict[Ref, str]:
    """Keep the objects, move the refs, confirm the build. `cut`: commits of the pack whose parents may be missing."""
    moved = quarantine.adopt(received.pack) if received.pack is not None else []
    _update_shallow(push, quarantine, cut)
    statuses = {command.ref: _move(push, command) for command in verdict.accepted}
    deploy = verdict.deploy
    if deploy is not None and statuses[deploy.ref] == "ok":
        statuses[deploy.ref] = _confirm(push, deploy, build_id)
    if "ok" not in statuses.values():
        for file in reversed(moved):
            file.unlink()
    _join_packs(push, quarantine)
    return statuses


def _move(push: Push, command: Command) -> str:
    """Compare and set one ref."""
    refs = push.git.refs
    try:
        if command.is_delete:
            done = refs.remove_if_equals(command.ref, command.old)
        else:
            done = refs.set_if_equals(command.ref, command.old, command.new)
    except (OSError, ValueError, KeyError) as error:
        logger.warning("push to %s: cannot write %r: %s", push.app.name, command.ref, error)
        return "the server could not write the ref; push again"
    return "ok" if done else "the ref has moved since you looked; fetch and push again"


def _confirm(push: Push, command: Command, build_id: str) -> str:
    """Tell the backend that the ref moved; if it cannot take that, the ref goes back."""
    try:
        push.backend.confirm(build_id, command.new.decode())
    except Exception:
        logger.exception("could not confirm build %s", build_id)
        _move(push, Command(command.new, command.old, command.ref))
        return "the server could not record the deploy; push again"
    point_head(push.git, command.ref)
    return "ok"


def _update_shallow(push: Push, quarantine: Quarantine, cut: Iterable[bytes]) -> None:
    """Remember the commits whose parents are not here, forget those whose parents have come."""
    before = set(push.git.get_shallow())
    candidates = before | {ObjectID(sha.hex().encode()) for sha in cut}
    if not candidates:
        return
    with open_store(quarantine.folder, pack_folder(push.app.path)) as store:
        after = {sha for sha in candidates if _lacks_parents(store, bytes.fromhex(sha.decode()))}
    if after != before:
        push.git.update_shallow(after - before, before - after)


def _lacks_parents(store: PackStore, commit: bytes) -> bool:
    found = store.get_bytes(commit)
    return found is not None and any(store.kind(parent) is None for parent in commit_parents(found[1]))


def _join_packs(push: Push, quarantine: Quarantine) -> None:
    try:
        if len(pack_paths(pack_folder(quarantine.repo))) > push.limits.max_packs:
            consolidate(quarantine)
    except Exception:
        logger.exception("could not join the packs of %s", push.app.name)
