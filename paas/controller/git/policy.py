"""Which ref commands of a push are allowed, and which one deploys.

In: the commands, the refs as they are, the names of the deploy branches.  Out: a verdict; a function without I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dulwich.objects import ZERO_SHA, ObjectID
from dulwich.refs import Ref, check_ref_format

from paas.controller.git.limits import Limits

_HEADS = b"refs/heads/"
_ATOMIC = "atomic push failed"


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a push: move `ref` from `old` to `new` (40 hex digits each; zeros: it does not exist)."""

    old: ObjectID
    new: ObjectID
    ref: Ref

    @property
    def is_delete(self) -> bool:
        """Whether the ref is to vanish."""
        return self.new == ZERO_SHA

    @property
    def branch(self) -> str:
        """The branch's name, or '' when the ref is no branch."""
        return self.ref[len(_HEADS) :].decode(errors="replace") if self.ref.startswith(_HEADS) else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`faults`: why a ref is refused. `accepted`: the others. `deploy`: the one of them that is built."""

    faults: dict[Ref, str] = field(default_factory=dict)
    accepted: tuple[Command, ...] = ()
    deploy: Command | None = None

    def refuse(self, more: Mapping[Ref, str], *, atomic: bool) -> Verdict:
        """Return the verdict with some of the accepted commands refused after all."""
        faults = self.faults | dict(more)
        if atomic and more:
            faults |= {command.ref: _ATOMIC for command in self.accepted if command.ref not in faults}
        accepted = tuple(command for command in self.accepted if command.ref not in faults)
        return Verdict(faults, accepted, self.deploy if self.deploy in accepted else None)


def judge(
    commands: Collection[Command],
    refs: Mapping[Ref, ObjectID],
    deploy_branches: tuple[str, ...],
    limits: Limits,
    *,
    atomic: bool,
) -> Verdict:
    """Decide about every command of a push."""
    faults = {
        command.ref: fault
        for command in commands
        if (fault := _fault(command, refs, deploy_branches, limits))
    }
    faults |= _conflicts(commands, refs)
    deploys = [command for name in deploy_branches for command in commands if command.branch == name]
    if len({command.new for command in deploys if not command.is_delete}) > 1:
        text = f"{' and '.join(deploy_branches)} both deploy and differ; push one of them"
        faults |= {command.ref: text for command in deploys if command.ref not in faults}
    deploy = next((command for command in deploys if command.ref not in faults), None)
    return Verdict({}, tuple(commands), deploy).refuse(faults, atomic=atomic)


def name_fault(ref: bytes, limits: Limits) -> str:
    """Return what is wrong with a ref's name, or ''."""
    if len(ref) > limits.max_ref_bytes:
        return f"the ref's name is longer than {limits.max_ref_bytes} bytes"
    if ref.count(b"/") >= limits.max_ref_components:
        return f"the ref's name has more than {limits.max_ref_components} components"
    if not ref.startswith(b"refs/") or ref.count(b"/") < 2 or not check_ref_format(Ref(ref)):
        return "funny refname"
    return ""


def _fault(
    command: Command, refs: Mapping[Ref, ObjectID], deploy_branches: tuple[str, ...], limits: Limits
) -> str:
    fault = name_fault(command.ref, limits)
    if fault:
        return fault
    if command.is_delete and command.branch in deploy_branches:
        return f"{command.branch} is what deploys, it cannot be deleted"
    if refs.get(command.ref, ZERO_SHA) != command.old:
        return "the ref has moved since you looked; fetch and push again"
    return ""


def _conflicts(commands: Collection[Command], refs: Mapping[Ref, ObjectID]) -> dict[Ref, str]:
    """Refs given twice, and refs that would be both a file and a folder (`a` and `a/b`)."""
    faults = {
        ref: "the ref occurs twice in this push"
        for ref, n in Counter(c.ref for c in commands).items()
        if n > 1
    }
    gone = {command.ref for command in commands if command.is_delete}
    taken = {ref for ref in refs if ref not in gone} | {c.ref for c in commands if not c.is_delete}
    folders = {folder: ref for ref in taken for folder in _folders(ref)}
    for command in commands:
        other = folders.get(command.ref) or next((f for f in _folders(command.ref) if f in taken), None)
        if other is not None and not command.is_delete:
            faults[command.ref] = (
                f"conflicts with {other.decode(errors='replace')}; delete or rename one of them"
            )
    return faults


def _folders(ref: bytes) -> list[bytes]:
    parts = ref.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]
