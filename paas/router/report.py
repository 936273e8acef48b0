"""What a router says of its backends. In: the applied table and the servers of every HAProxy process. Out: states."""

from __future__ import annotations

from dataclasses import dataclass

from paas.router.diff import Servers
from paas.router.layout import instance_of
from paas.router.table import BackendState, RouteTable


@dataclass(frozen=True)
class Found:
    """A picture of HAProxy taken after `table` was applied: the serving worker first, then those finishing requests."""

    workers: tuple[Servers, ...] = ()
    table: RouteTable | None = None

    def backends(self) -> tuple[BackendState, ...]:
        """Return the state of every backend of the table, in its order."""
        if self.table is None:
            return ()
        sessions = count_sessions(self.workers)
        usable = (
            {instance_of(key) for key, state in self.workers[0].items() if state.usable}
            if self.workers
            else set()
        )
        return tuple(
            BackendState(
                id=backend.id,
                active_sessions=sessions.get(backend.id, 0),
                drained=backend.draining and not sessions.get(backend.id, 0),
                up=not backend.draining and backend.id in usable,
            )
            for app in self.table.apps
            for backend in app.backends
        )

    @property
    def draining(self) -> bool:
        """Tell whether some backend is still to be drained."""
        if self.table is None:
            return False
        asked = {backend.id for app in self.table.apps for backend in app.backends if backend.draining}
        return bool(asked & {instance for instance, count in count_sessions(self.workers).items() if count})

    def summary(self) -> tuple[object, ...]:
        """Return what a controller should hear about at once: all but the number of sessions."""
        states = tuple((state.id, state.drained, state.up) for state in self.backends())
        return (self.table.version if self.table else None, bool(self.workers), states)


def count_sessions(workers: tuple[Servers, ...]) -> dict[str, int]:
    """Return the requests running on each instance, in all HAProxy processes."""
    total: dict[str, int] = {}
    for worker in workers:
        for key, state in worker.items():
            instance = instance_of(key)
            total[instance] = total.get(instance, 0) + state.sessions
    return total
