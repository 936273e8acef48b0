"""How a service asks for work: after its transaction has committed, with ids only, never failing the caller.

In: a task's name and ids.  Out: a message in Redis; when Redis is away the tick finds the row instead.
"""

from __future__ import annotations

import logging

from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def enqueue(task: str, *arguments: str) -> None:
    """Send `paas.controller.tasks.<task>` once the current transaction commits."""
    transaction.on_commit(lambda: send(task, *arguments), robust=True)


def send(task: str, *arguments: str) -> None:
    """Send it now, by the application itself: Celery's `current_app` is another one in threads that did not make it."""
    from paas.celery import app  # configured at its first use, not at Django's start

    try:
        app.send_task(f"paas.controller.tasks.{task}", args=list(arguments))
    except (OperationalError, OSError) as error:
        logger.warning(
            "The hint %s%s was not sent, the next tick will find the row: %s", task, arguments, error
        )
