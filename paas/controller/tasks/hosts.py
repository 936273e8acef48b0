"""The fast path to a host: its whole wanted state, pushed. A lost push is made up for by the host's next report."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.db import transaction

from paas.controller.agents import agent
from paas.controller.models import Host
from paas.controller.selectors.wanted import wanted_state
from paas.controller.services import deployments
from runtime.client import AgentRefused, AgentUnavailable

logger = logging.getLogger(__name__)


@shared_task
def rewire(changed: str = "") -> None:
    """Tell every host of a change of another (`changed`; '': of any). With one host there is nobody to tell."""
    hosts = set(Host.objects.values_list("id", flat=True))
    if len(hosts) > 1:
        with transaction.atomic():
            deployments.touch_hosts(id_ for id_ in hosts if str(id_) != changed)


@shared_task
def push_host(host_id: str) -> None:
    host = Host.objects.filter(id=UUID(host_id)).first()
    if host is None:
        return
    try:
        agent(host).put_wanted(wanted_state(host.id))
    except (AgentUnavailable, AgentRefused) as error:
        logger.warning("The wanted state did not reach %s; its next report fetches it: %s", host.name, error)
