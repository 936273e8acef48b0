"""What every process that speaks Celery agrees on: the broker, the schedule, and how messages look.

In: Redis' URL and the data folder.  Out: Celery's settings by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def celery_settings(redis_url: str, home: Path) -> dict[str, Any]:
    """Return the settings. Tasks carry ids only and are safe to lose, repeat and overlap: no result is kept."""
    return {
        "broker_url": redis_url.replace("unix://", "redis+socket://"),
        "result_backend": None,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "socket_keepalive": True,
            # Without them a Redis that hangs would hang whoever sends a hint: a web request, a report of a host.
            "socket_connect_timeout": 3,
            "socket_timeout": 5,  # more than the second that a worker waits for a message at a time
        },
        "worker_hijack_root_logger": False,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "task_publish_retry": False,
        "task_default_queue": "schedule",
        "beat_schedule": {
            "tick": {"task": "paas.controller.tasks.ticks.tick", "schedule": 2.0, "options": {"expires": 4}},
            "schedules": {
                "task": "paas.controller.tasks.schedules.look",
                "schedule": 5.0,
                "options": {"expires": 10},
            },
            "housekeeping": {
                "task": "paas.controller.tasks.housekeeping.housekeeping",
                "schedule": 300.0,
                "options": {"expires": 300},
            },
        },
        "beat_schedule_filename": str(home / "run" / "beat"),
        "enable_utc": True,
    }
