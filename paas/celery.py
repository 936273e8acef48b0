"""The Celery application of the processes that send and run tasks.

In: Django's settings.  Out: `app`, which knows every task.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")

from django.conf import settings

from paas.celery_settings import celery_settings

app = Celery("paas")
app.conf.update(celery_settings(settings.REDIS_URL, settings.PAAS.home))
app.autodiscover_tasks(["paas.controller"])
