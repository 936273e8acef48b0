"""Hints: sent after the commit only, from whatever thread, and never at the cost of the change they are about."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from paas.controller.queue import enqueue, send
from tests.integration.controller.machines import Worker
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]


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
    results = together(
        *[lambda number=number: send("planning.reconcile_app", str(number)) for number in range(6)]
    )
    assert failures(results) == []
    assert sorted(arguments[0] for _, arguments in worker.waiting()) == [str(number) for number in range(6)]


@pytest.fixture
def own_redis(short_folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis of the test's own; its URL and its process."""
    path = short_folder / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(short_folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"unix://{path}", server
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        server.wait(10)


PROGRAM = """
import os, signal, sys, time
from paas.celery import app
from paas.controller.queue import send
send("planning.reconcile_app", "1")
os.kill(int(sys.argv[1]), signal.SIGSTOP)
began = time.monotonic()
send("planning.reconcile_app", "2")
print(round(time.monotonic() - began, 1))
"""


def test_a_redis_that_hangs_holds_up_a_change_for_seconds_only(
    own_redis: tuple[str, subprocess.Popen[bytes]], settings: Any
) -> None:
    url, server = own_redis
    environ = {
        "PATH": "/usr/bin:/bin",
        "PAAS_HOME": str(settings.PAAS.home),
        "REDIS_URL": url,
        "DJANGO_SETTINGS_MODULE": "paas.settings",
    }
    command = (sys.executable, "-c", PROGRAM, str(server.pid))
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert float(done.stdout) < 8, done.stderr
    assert "will find the row" in done.stderr
