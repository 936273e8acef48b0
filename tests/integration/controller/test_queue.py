"""Hints: sent after the commit only, from whatever thread, and never at the cost of the change they are about."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from paas.controller.models import App, User
from paas.controller.queue import enqueue, send
from paas.controller.redis_connection import client as redis_client
from paas.controller.selectors.config import config_vars
from paas.controller.services.config import set_config
from tests.integration.controller.machines import Worker
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def test_nothing_is_sent_before_the_commit(worker: Worker) -> None:
    with transaction.atomic():
        enqueue("planning.reconcile_app", "1")
        assert worker.waiting() == []
    assert worker.waiting() == [("planning.reconcile_app", ("1",))]


def test_nothing_is_sent_after_a_rollback(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue("planning.reconcile_app", "1")
        raise ZeroDivisionError
    assert worker.waiting() == []


def test_every_thread_sends_to_the_same_queue(worker: Worker) -> None:
    """Web servers answer each request in another thread than the one that set Celery up."""
    results = together(*[lambda number=number: send("planning.reconcile_app", str(number)) for number in range(6)])
    assert failures(results) == []
    assert sorted(arguments[0] for _, arguments in worker.waiting()) == [str(number) for number in range(6)]
