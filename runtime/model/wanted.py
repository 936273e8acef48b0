"""What a host is to run, and whom it reaches.

In: nothing.  Out: types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from runtime.egress import Egress
from runtime.model.base import Address, Struct
from runtime.model.containers import ContainerSpec


class HealthKind(StrEnum):
    HTTP = "http"  # GET path on the port answers with one of `statuses`
    TCP = "tcp"  # the port accepts a connection
    COMMAND = "command"  # `command`, run inside, ends with 0
    STEADY = "steady"  # it has run for steady_seconds without exiting


class HealthCheck(Struct):
    """When an instance counts as up. Times in seconds.

    Until first up it is polled fast (every 0.1 s, a command every 0.5 s); `start_timeout` later it has failed (R10).
    Afterwards every `interval`; `unhealthy_threshold` failures in a row make it unhealthy, which takes it out of
    traffic; `healthy_threshold` successes in a row make it up (again). `restart_threshold` > 0 is a liveness check:
    that many failures in a row end it, and it is started anew (0: never). Within `start_period` of its start no
    failure counts, and it is not too late to become healthy.
    HTTP: `statuses` are the first and the last status that will do; `headers` are added to the request, a `Host`
    among them replaces the address; `content` is text that the first 64 KiB of the answer must hold.
    """

    kind: HealthKind = HealthKind.TCP
    path: str = "/"
    interval: float = 5.0
    timeout: float = 3.0
    start_timeout: float = 60.0
    unhealthy_threshold: int = 3
    steady_seconds: float = 1.0
    healthy_threshold: int = 1
    restart_threshold: int = 0
    start_period: float = 0.0
    statuses: tuple[int, int] = (200, 399)
    headers: dict[str, str] = {}
    command: tuple[str, ...] = ()
    content: str = ""


class InstanceSpec(Struct):
    """A container that must keep running: restarted by the agent with back-off until it is no longer wanted."""

    container: ContainerSpec
    health: HealthCheck = HealthCheck()


class Peer(Struct):
    """Another host of the platform: its `address` on the network between the hosts (underlay), and the subnet that
    its containers have. `public_key` is WireGuard's, in base 64 ('' without)."""

    host: str
    address: Address
    subnet: str
    public_key: str = ""


class Member(Struct):
    """A container on another host. `name` as in its spec (`web.1`); `up`: it is healthy, and its names lead to it."""

    owner: str
    address: Address
    name: str = ""
    up: bool = True


class NetworkMember(Struct):
    """An app in a network. Its instances are found at `ALIAS.NETWORK.internal`."""

    owner: str
    aliases: tuple[str, ...] = ()


class Network(Struct):
    """A named network: its members' containers reach each other and find each other's names. Members of an `internal`
    one reach nothing outside."""

    name: str
    internal: bool = False
    members: tuple[NetworkMember, ...] = ()


class WantedState(Struct):
    """Everything a host must run. What is not in it is stopped. Older generations than the stored one are ignored.

    `peers` are all other hosts, `members` the containers there that belong to apps; the host itself may be among
    the peers. `network` tells platforms on the same machines apart (the VXLAN network identifier). `apps` names
    owners for DNS: `web.NAME.internal`; an owner without a name goes by its id. `egress` says where owners may go;
    who is not in it may go everywhere. `build_egress` is the same for their builds. `networks` join owners. All three
    change live. `leaving` are those of the instances that still run and take nothing new: no name leads to them.
    """

    generation: int
    instances: tuple[InstanceSpec, ...] = ()
    peers: tuple[Peer, ...] = ()
    members: tuple[Member, ...] = ()
    network: Annotated[int, msgspec.Meta(ge=1, le=2**24 - 1)] = 1
    apps: dict[str, str] = {}
    egress: dict[str, Egress] = {}
    build_egress: dict[str, Egress] = {}
    networks: tuple[Network, ...] = ()
    leaving: tuple[str, ...] = ()
