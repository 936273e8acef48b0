"""Reading the kernel parameters of an app.

In: a release, or an app for its newest one.  Out: sysctls as the kernel reads them, ulimits as soft and hard limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from paas.controller.models import App, Release
from paas.controller.selectors.releases import newest_release
from runtime.model import show_ulimit


@dataclass(frozen=True)
class KernelParameters:
    """What every process of an app gets beside the host's defaults."""

    sysctls: dict[str, str] = field(default_factory=dict)
    ulimits: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, dict[str, str]]:
        """Return them as people write them."""
        limits = {name: show_ulimit(*pair) for name, pair in sorted(self.ulimits.items())}
        return {"sysctls": dict(sorted(self.sysctls.items())), "ulimits": limits}

    @property
    def stored(self) -> dict[str, Any]:
        """Return what a release keeps; empty when there are none."""
        limits = {name: list(pair) for name, pair in self.ulimits.items()}
        parts = {"sysctls": dict(self.sysctls), "ulimits": limits}
        return {name: values for name, values in parts.items() if values}


def release_kernel(release: Release) -> KernelParameters:
    stored = release.kernel
    limits = {name: (pair[0], pair[1]) for name, pair in stored.get("ulimits", {}).items()}
    return KernelParameters(sysctls=dict(stored.get("sysctls", {})), ulimits=limits)


def kernel_parameters(app: App) -> KernelParameters:
    release = newest_release(app)
    return release_kernel(release) if release else KernelParameters()
