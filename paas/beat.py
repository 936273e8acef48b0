"""The Celery application of the process that only ticks.

In: the configuration.  Out: `app`, without Django and without the tasks' code: a timer needs neither (half the memory).
"""

from __future__ import annotations

from celery import Celery

from paas.celery_settings import celery_settings
from paas.configuration import configuration

app = Celery("beat", fixups=[])
app.conf.update(celery_settings(configuration().redis_url, configuration().home))
