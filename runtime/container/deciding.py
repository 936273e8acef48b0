"""What is decided about a container before anything of it is mounted.

In: the engine's parts and a request.  Out: a `Making`. Taken by then are a slot of the network and a range of users.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from runtime.container import adapting, profiles
from runtime.container.foreign import Foreign
from runtime.container.membership import take_slot
from runtime.container.parts import Parts, Request
from runtime.container.port import EngineError
from runtime.container.requests import clean_hostname
from runtime.container.runtimes import Runtime
from runtime.container.syscall_rules import Profile
from runtime.model import ContainerSpec
from runtime.network.pool import Slot


@dataclass(frozen=True, slots=True)
class Making:
    """`late`: the runtime makes the network namespace, connected afterwards. `start`: of the owner's range of users;
    `uid_start` is that, None without a user namespace. `foreign`: a standard bundle, worked into the request."""

    request: Request
    chosen: Runtime
    profile: Profile
    foreign: Foreign | None
    start: int
    uid_start: int | None
    slot: Slot | None
    late: bool

    @property
    def spec(self) -> ContainerSpec:
        return self.request.spec

    @property
    def hostname(self) -> str:
        return clean_hostname(self.spec.hostname or self.spec.name)

    @property
    def address(self) -> str:
        return self.slot.address if self.slot else ""

    @property
    def netns(self) -> str:
        return self.slot.path if self.slot and not self.late else ""


def decide(
    parts: Parts, request: Request, chosen: Runtime, foreign: Foreign | None, undo: contextlib.ExitStack
) -> Making:
    """Raises EngineError for what this host cannot do; `undo` gives back what was taken."""
    late = parts.isolated and chosen.makes_network and parts.pool.guarded
    profile = adapting.profile_of(_isolation(parts, request.spec), foreign)
    slot = take_slot(parts, request.spec, undo, late=late)
    start = parts.owners.range_start(request.spec.owner)
    uid_start = start if parts.isolated else None
    return Making(request, chosen, profile, foreign, start, uid_start, slot, late)


def _isolation(parts: Parts, spec: ContainerSpec) -> Profile:
    """Return the seccomp profile. Raises EngineError for what this host cannot isolate, before anything is taken."""
    if not parts.isolated and (spec.account.capable or spec.account.uid == 0):
        raise EngineError(
            "This image runs as root, which it may only in a user namespace of its own, and the agent of this host was "
            "told to make none; give the image a USER that is not root."
        )
    return profiles.load(parts.seccomp_dir, spec.seccomp)
