"""Clients of agents and routers, with this installation's machine credentials.

In: a host or a router.  Out: a client.
"""

from __future__ import annotations

from functools import cache

from django.conf import settings

from paas.controller.models import Host, Router
from paas.router.client import RouterClient
from runtime.client import AgentClient


@cache
def _agent(url: str) -> AgentClient:
    return AgentClient(url, settings.SECRETS.agent_token)


@cache
def _router(url: str) -> RouterClient:
    return RouterClient(url, settings.SECRETS.router_token)


def agent(host: Host) -> AgentClient:
    return _agent(host.url)


def router(one: Router) -> RouterClient:
    return _router(one.url)
