"""Celery tasks: each takes ids, and is safe to lose, to repeat and to overlap."""

from paas.controller.tasks import (
    builds,
    caches,
    crashes,
    hosts,
    housekeeping,
    one_offs,
    planning,
    routing,
    schedules,
    sources,
    stacks,
    ticks,
    volumes,
)

__all__ = [
    "builds",
    "caches",
    "crashes",
    "hosts",
    "housekeeping",
    "one_offs",
    "planning",
    "routing",
    "schedules",
    "sources",
    "stacks",
    "ticks",
    "volumes",
]
