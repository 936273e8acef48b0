"""The timer's process: it knows the schedule, and sets up neither Django nor the tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paas.celery import app
from paas.configuration import configuration

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]


def test_it_sets_up_no_django() -> None:
    program = (
        "import sys, paas.beat; print(sorted(paas.beat.app.conf.beat_schedule), 'django.db' in sys.modules)"
    )
    environ = {"PATH": "/usr/bin:/bin", "PAAS_HOME": str(configuration().home)}
    done = subprocess.run(
        (sys.executable, "-c", program), cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['housekeeping', 'schedules', 'tick'] False"


def test_every_scheduled_task_is_one_that_the_worker_knows() -> None:
    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled <= set(app.tasks)
