"""Giving back the space of build caches that no build will use again.

In: an app's id.  Out: its hosts hold its present cache at most. A host that is away clears it by age later.
"""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task

from paas.controller.agents import agent
from paas.controller.models import App, Host
from paas.controller.selectors.caches import cache_name
from runtime.client import AgentRefused, AgentUnavailable

logger = logging.getLogger(__name__)


@shared_task
def drop_caches(app_id: str) -> None:
    app = App.objects.filter(id=UUID(app_id)).first()
    keep = cache_name(app, app.stack) if app else ""
    for host in Host.objects.all():
        try:
            agent(host).drop_caches(app_id, keep)
        except (AgentUnavailable, AgentRefused) as error:
            logger.warning("Old build caches stay on %s until its cleaner finds them: %s", host.name, error)
