"""The Celery application: tasks carry ids only and are safe to lose, repeat and overlap.

In: Django's settings.  Out: `app`, with the schedule of the periodic ticks.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")

from django.conf import settings

REDIS = settings.REDIS_URL.replace("unix://", "redis+socket://")

app = Celery("paas")
app.conf.update(
    broker_url=REDIS,
    result_backend=None,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": 3600, "socket_keepalive": True},
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    task_publish_retry=False,
    task_default_queue="schedule",
    beat_schedule={
        "tick": {"task": "paas.controller.tasks.ticks.tick", "schedule": 2.0, "options": {"expires": 4}},
        "housekeeping": {
            "task": "paas.controller.tasks.housekeeping.housekeeping",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
    },
    beat_schedule_filename=str(settings.PAAS.home / "run" / "beat"),
    enable_utc=True,
)
app.autodiscover_tasks(["paas.controller"])
