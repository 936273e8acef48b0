"""From a release to what a host is told to run.

In: a release, a process type, a number.  Out: `runtime.model` values, and the template hash: same hash, no restart.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from paas.controller.models import App, Release, Stack
from paas.controller.selectors.formation import DEFAULT_SIZE, SIZES, Size
from paas.controller.selectors.kernel import release_kernel
from paas.controller.selectors.releases import release_config
from runtime.model import (
    ContainerSpec,
    HealthCheck,
    HealthKind,
    ImageRef,
    InstanceSpec,
    JobSpec,
    Limits,
    NetworkMode,
    Rootfs,
)

WEB = "web"
PORT = 8080  # every instance has its own address, so one port number serves them all
LAUNCHER = "/app/.paas/launch"  # written into the slug by the builder: profile scripts, then the command
ATTACH_SECONDS = 60.0  # a one-off that waits for its user is not started later
SPEC_VERSION = 1  # bump when instances must be replaced because the way they run has changed
TEMPLATES_KEPT = 10_000

_templates: dict[tuple[UUID, str], str] = {}


@dataclass(frozen=True)
class Terminal:
    """How a user is attached: at a terminal, of a size if it is known (0: not), or through pipes."""

    tty: bool
    rows: int = 0
    columns: int = 0


def template(release: Release, process_type: str) -> str:
    """Return the hash of everything that makes one instance differ from another. Same hash: no restart needed.

    A release never changes, so its templates are worked out once per process.
    """
    key = (release.id, process_type)
    known = _templates.get(key)
    if known is None:
        if len(_templates) >= TEMPLATES_KEPT:
            _templates.clear()
        known = _templates[key] = _template(release, process_type)
    return known


def _template(release: Release, process_type: str) -> str:
    """Keyed with the installation's secret: whoever reads the database cannot try out config values against it."""
    entry = release.formation[process_type]
    parts = [
        SPEC_VERSION,
        release.slug.digest if release.slug else "",
        release.stack_layers,
        entry["command"],
        entry["size"],
        release.health_checks.get(process_type, {}),
        sorted(release_config(release).items()),
        *([release.kernel] if release.kernel else []),  # releases from before there were any keep their hash
    ]
    text = json.dumps(parts, sort_keys=True).encode()
    return hmac.new(settings.SECRET_KEY.encode(), text, hashlib.sha256).hexdigest()[:32]


def image_refs(layers: list[dict[str, Any]]) -> tuple[ImageRef, ...]:
    return tuple(ImageRef(digest=layer["digest"], size=layer.get("size", 0)) for layer in layers)


def rootfs(release: Release) -> Rootfs:
    """The slug over the stack that the release froze."""
    slug = (ImageRef(digest=release.slug.digest, size=release.slug.size),) if release.slug else ()
    return Rootfs(layers=slug + image_refs(release.stack_layers), host=not release.stack_layers)


def size_limits(size: Size) -> Limits:
    """Files of an instance lie in its memory: half of it for /app, a quarter for /tmp.

    So a full disk is an error that the process sees (ENOSPC), not an out-of-memory kill.
    """
    memory = size.memory_bytes
    return Limits(
        memory_bytes=memory,
        cpu_shares=size.cpu_shares,
        cpu_cores=size.cpu_cores,
        writable_bytes=memory // 2,
        tmp_bytes=memory // 4,
    )


def process_env(
    app: App, release: Release, name: str, size: Size, config: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment: what the build asks for, then config vars, then what the platform alone decides."""
    defaults: dict[str, str] = release.slug.config_defaults if release.slug else {}
    return {
        **defaults,
        **config,
        "DYNO": name,
        "HOME": "/app",
        "MEMORY_AVAILABLE": str(size.memory_bytes // 1024**2),
        "HEROKU_APP_ID": str(app.id),
        "HEROKU_APP_NAME": app.name,
        "HEROKU_RELEASE_VERSION": f"v{release.version}",
        "HEROKU_SLUG_COMMIT": release.slug.commit if release.slug else "",
        "PAAS_APP_ID": str(app.id),
        "PAAS_APP_NAME": app.name,
        "PAAS_RELEASE_VERSION": f"v{release.version}",
        "PAAS_SLUG_COMMIT": release.slug.commit if release.slug else "",
    }


def health_check(release: Release, process_type: str) -> HealthCheck:
    """Return the check of a process type: what the release says, else TCP for web and steady running for others."""
    declared = release.health_checks.get(process_type, {})
    if process_type != WEB:
        return HealthCheck(kind=HealthKind.STEADY)
    if declared.get("path"):
        return HealthCheck(
            kind=HealthKind.HTTP,
            path=declared["path"],
            timeout=declared.get("timeout", 3.0),
            start_timeout=float(settings.PAAS.boot_timeout),
        )
    return HealthCheck(kind=HealthKind.TCP, start_timeout=float(settings.PAAS.boot_timeout))


def instance_spec(release: Release, process_type: str, number: int, instance_id: UUID) -> InstanceSpec:
    """Return the complete order for one instance."""
    app, entry = release.app, release.formation[process_type]
    size = SIZES[entry["size"]]
    name = f"{process_type}.{number}"
    env = process_env(app, release, name, size, release_config(release))
    kernel = release_kernel(release)
    port = PORT if process_type == WEB else None
    if port:
        env["PORT"] = str(port)
    container = ContainerSpec(
        id=str(instance_id),
        owner=str(app.id),
        name=name,
        rootfs=rootfs(release),
        argv=(LAUNCHER, "-c", entry["command"]),
        env=env,
        hostname=name.replace(".", "-").replace("_", "-"),
        port=port,
        limits=size_limits(size),
        sysctls=kernel.sysctls,
        ulimits=kernel.ulimits,
    )
    return InstanceSpec(container=container, health=health_check(release, process_type))


def one_off_spec(
    release: Release,
    name: str,
    command: str,
    size_name: str,
    extra_env: Mapping[str, str],
    job_id: UUID,
    timeout: float,
    terminal: Terminal | None = None,
) -> JobSpec:
    """Return the order for a process that runs once in the release's image and config.

    With a `terminal` it is one user's: it waits for them, speaks to them alone, and ends when they leave.
    """
    size = SIZES.get(size_name, SIZES[DEFAULT_SIZE])
    env = process_env(release.app, release, name, size, {**release_config(release), **extra_env})
    kernel = release_kernel(release)
    container = ContainerSpec(
        id=str(job_id),
        owner=str(release.app_id),
        name=name,
        rootfs=rootfs(release),
        argv=(LAUNCHER, "-c", command),
        env=env,
        hostname=name.replace(".", "-").replace("_", "-"),
        limits=size_limits(size),
        sysctls=kernel.sysctls,
        ulimits=kernel.ulimits,
        tty=terminal is not None and terminal.tty,
        stdin=terminal is not None,
        logged=terminal is None,
    )
    return JobSpec(container=container, timeout=timeout, attach_seconds=ATTACH_SECONDS if terminal else 0.0)


def build_rootfs(stack: Stack, builder: ImageRef) -> Rootfs:
    """The builder over the build image over the run image."""
    layers = (builder, *image_refs(stack.build_layers), *image_refs(stack.run_layers))
    return Rootfs(layers=layers, host=stack.on_host)


def build_limits() -> Limits:
    """Builds get less weight than apps, so that they can never starve them."""
    return Limits(memory_bytes=2 * 1024**3, cpu_shares=512, pids=1024, tmp_bytes=512 * 1024**2)


BUILD_NETWORK = NetworkMode.BUILD
