"""One Redis connection pool per process. Redis holds streams and hints only; rows are the truth.

In: settings.REDIS_URL.  Out: a client whose calls end within seconds when Redis is away.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import redis
from django.conf import settings

RedisError = redis.RedisError


@cache
def client() -> Any:
    """Return the client (Any: the types of the library mix its sync and async answers).

    Blocking reads pass their own timeout, which must stay under `socket_timeout`.
    """
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=30,
        socket_connect_timeout=3,
        decode_responses=True,
        max_connections=200,
    )
