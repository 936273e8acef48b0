"""One Redis connection pool per process. Redis holds streams and hints only; rows are the truth.

In: settings.REDIS_URL.  Out: a client whose calls end within seconds when Redis is away.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import redis
from django.conf import settings

RedisError = redis.RedisError


QUICK, BLOCKING = 5.0, 30.0  # seconds without an answer after which Redis counts as away


@cache
def client() -> Any:
    """Return the client (Any: the types of the library mix its sync and async answers)."""
    return _connect(QUICK)


@cache
def blocking_client() -> Any:
    """Return the client for reads that wait (`block=`), at most for less than `BLOCKING` seconds."""
    return _connect(BLOCKING)


def forget_connections() -> None:
    """Close every connection; the next call connects anew."""
    for cached in (client, blocking_client):
        if cached.cache_info().currsize:
            cached().close()
        cached.cache_clear()


def _connect(patience: float) -> Any:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=patience,
        socket_connect_timeout=3,
        decode_responses=True,
        max_connections=200,
    )
