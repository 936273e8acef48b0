"""Importing and updating stacks: a worker takes a row up, and another one goes on should it die."""

from __future__ import annotations

import logging
import secrets

from celery import shared_task

from paas.controller.services import stacks
from paas.controller.tasks.beating import beating
from paas.oci.errors import ImageError
from paas.oci.fetch import Cancelled
from paas.slugbuilder.squash import ImageError as StackError

logger = logging.getLogger(__name__)


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
        with beating(f"stack task {task.id}", lambda: stacks.beat(task, worker)):
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
