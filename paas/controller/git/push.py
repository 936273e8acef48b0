"""What a push carries through its steps. In: what the view found.  Out: one frozen value, and how a pusher vanishes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import BoundedSemaphore

from dulwich.repo import Repo

from paas.controller.git.body import Body
from paas.controller.git.limits import Limits
from paas.controller.git.port import Account, AppRepository, GitBackend


class ClientGone(Exception):
    """The pusher pressed Ctrl-C or lost the connection."""


@dataclass(frozen=True, slots=True)
class Push:
    """Everything a push needs. `slots` bounds the pushes of this process; `began` is monotonic."""

    account: Account
    app: AppRepository
    git: Repo
    body: Body
    backend: GitBackend
    limits: Limits
    slots: BoundedSemaphore
    began: float = field(default_factory=time.monotonic)
