"""Celery tasks: each takes ids, and is safe to lose, to repeat and to overlap."""

from paas.controller.tasks import (
    builds,
    caches,
    hosts,
    housekeeping,
    one_offs,
    planning,
    routing,
    stacks,
    ticks,
)

__all__ = ["builds", "caches", "hosts", "housekeeping", "one_offs", "planning", "routing", "stacks", "ticks"]
