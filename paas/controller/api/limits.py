"""Rate limits: fixed windows, counted in Redis, or in this process while Redis does not answer.

In: who calls.  Out: how many calls are left; raises RateLimited.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass

from django.core.cache import cache as local

from paas.controller.redis_connection import RedisError, client
from paas.errors import RateLimited

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limit:
    """At most `calls` calls per `window` seconds."""

    name: str
    calls: int
    window: int


REQUESTS = Limit("requests", 4500, 3600)
HOOKS = Limit("hooks", 60, 60)  # of one app
FAILED_LOGINS = Limit("failed-logins", 10, 900)


def spend(limit: Limit, caller: str) -> int:
    """Count one call and return how many are left. Raises RateLimited when it is one too many."""
    used = _add(_key(limit, caller), limit.window)
    if used > limit.calls:
        raise RateLimited(
            f"Over the limit of {limit.calls} {limit.name.replace('-', ' ')} in {limit.window // 60} minutes. "
            f"Try again in {_seconds_left(limit)} seconds."
        )
    return limit.calls - used


def remaining(limit: Limit, caller: str) -> int:
    """Return how many calls are left without counting one."""
    key = _key(limit, caller)
    try:
        used = int(client().get(key) or 0)
    except RedisError:
        used = int(local.get(key, 0))
    return max(0, limit.calls - used)


def refuse_when_spent(limit: Limit, caller: str) -> None:
    """Raise RateLimited when nothing is left."""
    if remaining(limit, caller) == 0:
        raise RateLimited(
            f"Too many {limit.name.replace('-', ' ')}. Try again in {_seconds_left(limit)} seconds."
        )


def _key(limit: Limit, caller: str) -> str:
    # Callers are hashed: the key of a failed login holds an address and an e-mail.
    digest = hashlib.sha256(caller.encode()).hexdigest()[:32]
    return f"paas:limit:{limit.name}:{int(time.time()) // limit.window}:{digest}"


def _seconds_left(limit: Limit) -> int:
    return limit.window - int(time.time()) % limit.window


def _add(key: str, window: int) -> int:
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, window)
            return int(pipe.execute()[0])
    except RedisError as error:
        log.warning("counting calls in this process, Redis does not answer: %s", error)
        local.add(key, 0, window)
        return int(local.incr(key))
