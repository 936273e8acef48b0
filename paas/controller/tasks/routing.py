"""The fast path to routers: the whole route table, pushed. A lost push is made up for by the router's next report."""

from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone

from paas.controller.agents import router
from paas.controller.selectors.planning import live_routers
from paas.controller.selectors.routes import route_table
from paas.controller.services.reports import take_router_report
from paas.router.client import RouterRefused, RouterUnavailable

logger = logging.getLogger(__name__)


@shared_task
def push_routers() -> None:
    table = route_table()
    for one in live_routers(timezone.now()):
        if one.applied >= table.version:
            continue
        try:
            take_router_report(one, router(one).put_table(table))
        except (RouterUnavailable, RouterRefused) as error:
            logger.warning(
                "The route table did not reach %s; its next report fetches it: %s", one.name, error
            )
