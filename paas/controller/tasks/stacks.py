"""Importing and updating stacks: a worker takes a row up, and another one goes on should it die."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.db import connection

from paas.controller.models import StackTask
from paas.controller.services import stacks
from paas.oci.errors import ImageError
from paas.oci.fetch import Cancelled
from paas.slugbuilder.squash import ImageError as StackError

logger = logging.getLogger(__name__)

BEAT = 1.0


@shared_task
def run_stack_task(task_id: str) -> None:
    worker = secrets.token_hex(8)
    task = stacks.claim(task_id, worker)
    if task is None:
        return
    if task.attempts > stacks.ATTEMPTS_MAX:
        stacks.end(
            task, "internal_error", f"{stacks.ATTEMPTS_MAX} workers ended in the middle of it; try it again."
        )
        return
    try:
        with _alive(task, worker):
            stacks.run(task, lambda: stacks.beat(task, worker))
    except Cancelled:
        logger.info("stack task %s is no longer ours", task_id)
    except ImageError as error:
        stacks.end(task, error.id, error.message)
    except StackError as error:
        stacks.end(task, "stack_failed", str(error))
    except Exception:
        logger.exception("stack task %s failed inside the platform", task_id)
        stacks.end(task, "internal_error", "The platform failed meanwhile; the worker's log says why.")
    else:
        stacks.end(task)


@contextmanager
def _alive(task: StackTask, worker: str) -> Iterator[None]:
    """While the task runs: a heartbeat every second."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(BEAT):
            try:
                if not stacks.beat(task, worker):
                    return
            except Exception:
                logger.exception("the watch over stack task %s goes on", task.id)
            finally:
                connection.close()

    thread = threading.Thread(target=watch, name=f"stack-{task.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
