"""The names of what the controller keeps in Redis.

In: ids.  Out: keys; every one has a bound on its length or its life where it is written.
"""

from __future__ import annotations

from uuid import UUID


def app_log(app_id: UUID | str) -> str:
    """The stream of an app's log lines."""
    return f"app:{app_id}:log"


def build_log(build_id: UUID | str) -> str:
    """The stream of a build's output and of the deployment that follows, with its end."""
    return f"build:{build_id}:log"


def pusher(build_id: UUID | str) -> str:
    """Kept alive by the git process while somebody waits for the push."""
    return f"build:{build_id}:pusher"
