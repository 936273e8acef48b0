"""What runs on a joined machine, as values for the supervisor's keepers.

In: its membership.  Out: the agent, and the router where there is one.
"""

from __future__ import annotations

import sys

from paas.joined.membership import Membership, agent_environment, credentials, router_environment
from paas.supervisor.layout import Layout
from paas.supervisor.probes import Answers, Own
from paas.supervisor.processes import Ending, Process
from runtime.tls import host_identity, router_identity


def processes(layout: Layout, membership: Membership) -> list[Process]:
    found = [_agent(layout, membership)]
    return [*found, _router(layout, membership)] if membership.router else found


def _agent(layout: Layout, membership: Membership) -> Process:
    address = (membership.address, membership.port)
    own = Own(credentials(layout, "agent"), host_identity(membership.host))
    return Process(
        "agent",
        (sys.executable, "-m", "runtime", "agent"),
        Answers(address, "/v1/health", own),
        Ending(2, 9, "/v1/stop", address, own, b'{"remove": true}'),
        agent_environment(layout, membership),
        outlived=True,
        own_settings=True,
    )


def _router(layout: Layout, membership: Membership) -> Process:
    address = (membership.address, membership.router_port)
    own = Own(credentials(layout, "router"), router_identity(membership.router))
    return Process(
        "router",
        (sys.executable, "-m", "paas.router"),
        Answers(address, "/v1/health", own),
        Ending(1, 4, "/v1/stop", address, own, b"{}"),
        router_environment(layout, membership),
        outlived=True,
        own_settings=True,
    )
