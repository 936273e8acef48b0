"""Clients of agents and routers, with the controller's certificate.

In: a host or a router.  Out: a client that talks to exactly that machine.
"""

from __future__ import annotations

from functools import cache

from django.conf import settings

from paas.controller.models import Host, Router
from paas.router.client import RouterClient
from runtime.client import AgentClient
from runtime.tls import client_context, host_identity, router_identity


@cache
def _agent(url: str, identity: str) -> AgentClient:
    return AgentClient(url, tls=client_context(settings.PAAS.credentials("controller"), identity))


@cache
def _router(url: str, identity: str) -> RouterClient:
    return RouterClient(url, tls=client_context(settings.PAAS.credentials("controller"), identity))


def agent(host: Host) -> AgentClient:
    return _agent(host.url, host_identity(str(host.id)))


def router(one: Router) -> RouterClient:
    return _router(one.url, router_identity(str(one.id)))
