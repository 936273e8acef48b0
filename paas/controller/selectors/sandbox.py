"""Reading how the processes of an app are isolated, and which hosts can do it.

In: a release, an app for its newest one, a host.  Out: frozen values; needs and offers in the scheduler's words.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from paas.controller.models import App, Host, Release
from paas.controller.selectors.releases import newest_release
from runtime.model import Offer, from_builtins


@dataclass(frozen=True)
class Sandbox:
    """What an app has chosen: an OCI runtime and a seccomp profile by name ('': the host's own), a read-only root."""

    runtime: str = ""
    seccomp: str = ""
    readonly: bool = False

    @property
    def stored(self) -> dict[str, Any]:
        """Return what a release keeps; empty when nothing is chosen."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def needs(self) -> frozenset[str]:
        """Return what a host must offer to run it."""
        named = {"runtime": self.runtime, "seccomp": self.seccomp}
        return frozenset(f"{kind} {name}" for kind, name in named.items() if name)


@dataclass(frozen=True)
class Offered:
    """What can be chosen on at least one host that is there, and why some of it cannot be used."""

    runtimes: tuple[str, ...] = ()
    seccomp: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def release_sandbox(release: Release) -> Sandbox:
    return Sandbox(**release.sandbox)


def sandbox_of(app: App) -> Sandbox:
    release = newest_release(app)
    return release_sandbox(release) if release else Sandbox()


def host_offer(host: Host) -> Offer:
    return from_builtins(host.offer, Offer) if host.offer else Offer()


def offers(host: Host) -> frozenset[str]:
    """Return what can be used on a host now."""
    offer = host_offer(host)
    runtimes = (f"runtime {one.name}" for one in offer.runtimes if not one.problem)
    return frozenset((*runtimes, *(f"seccomp {name}" for name in offer.seccomp)))


def offered(since: datetime) -> Offered:
    """Return what hosts heard of since then offer, in the order of their names."""
    hosts = [
        host_offer(host) for host in Host.objects.filter(cordoned=False, seen_at__gte=since).order_by("name")
    ]
    runtimes = [one for offer in hosts for one in offer.runtimes]
    usable = {one.name for one in runtimes if not one.problem}
    problems = dict.fromkeys(one.problem for one in runtimes if one.problem and one.name not in usable)
    profiles = sorted({name for offer in hosts for name in offer.seccomp})
    return Offered(tuple(sorted(usable)), tuple(profiles), tuple(problems))
