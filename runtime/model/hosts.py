"""What a host has, offers and reports.

In: nothing.  Out: types.
"""

from __future__ import annotations

from runtime.model.base import Address, Count, Size, Struct
from runtime.model.instances import InstanceStatus
from runtime.model.jobs import JobStatus
from runtime.model.wanted import WantedState


class Capacity(Struct):
    memory_bytes: Size
    cpus: Count


class HostNetwork(Struct):
    """How a host can be reached by its peers: what `Peer` needs. `problem` says why it is not joined to them."""

    subnet: str = ""
    underlay: Address = ""
    public_key: str = ""
    problem: str = ""


class OfferedRuntime(Struct):
    """An OCI runtime that apps can choose on a host. `problem` says why it cannot be used there now ('': it can)."""

    name: str
    version: str = ""
    problem: str = ""


class Offer(Struct):
    """What apps can choose on a host: runtimes, its default first, and the operator's seccomp profiles."""

    runtimes: tuple[OfferedRuntime, ...] = ()
    seccomp: tuple[str, ...] = ()


class HostReport(Struct):
    """Sent on every change and every few seconds. `generation` is the wanted state in force. Whole, never a delta.

    `jobs` come without their `result`; ask for the job to get it.
    """

    host: str
    sequence: Size
    generation: Size
    capacity: Capacity
    instances: tuple[InstanceStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    network: HostNetwork = HostNetwork()
    offer: Offer = Offer()
    version: str = ""


class ReportReply(Struct):
    """The controller's answer to a report: the newest wanted state if the host's is older, else None."""

    wanted: WantedState | None = None
