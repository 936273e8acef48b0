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

import msgspec
from django.conf import settings
from msgspec.structs import replace

from paas.controller.models import App, Release, Stack
from paas.controller.selectors.formation import DEFAULT_SIZE, SIZES, Size
from paas.controller.selectors.kernel import release_kernel
from paas.controller.selectors.languages import build_layers
from paas.controller.selectors.prebuilt import LAUNCHER as LAUNCHER
from paas.controller.selectors.prebuilt import PORT as PORT
from paas.controller.selectors.prebuilt import WEB as WEB
from paas.controller.selectors.prebuilt import Program, image_for, layers, program
from paas.controller.selectors.releases import release_config
from paas.controller.selectors.sandbox import release_sandbox
from paas.controller.selectors.volumes import bindings, mounts_of, one_off_mounts
from paas.slugbuilder.dockerfile.plan import REGISTRY_AUTH
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
    from_builtins,
)

ATTACH_SECONDS = 60.0  # a one-off that waits for its user is not started later
SPEC_VERSION = 1  # bump when instances must be replaced because the way they run has changed
TEMPLATES_KEPT = 10_000

_templates: dict[tuple[UUID, str], str] = {}
_bases: dict[tuple[UUID, str], str] = {}


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


def base(release: Release, process_type: str) -> str:
    """Return the hash of all but the size: instances with the same one are resized while they run. '' for a type that
    the release does not have."""
    key = (release.id, process_type)
    known = _bases.get(key)
    if known is None:
        if len(_bases) >= TEMPLATES_KEPT:
            _bases.clear()
        sized = process_type in release.formation
        known = _bases[key] = _template(release, process_type, size="") if sized else ""
    return known


def _template(release: Release, process_type: str, size: str | None = None) -> str:
    """Keyed with the installation's secret: whoever reads the database cannot try out config values against it."""
    entry = release.formation[process_type]
    parts = [
        SPEC_VERSION,
        release.slug.digest if release.slug else "",
        release.stack_layers,
        entry["command"],
        entry["size"] if size is None else size,
        release.health_checks.get(process_type, {}),
        sorted(release_config(release).items()),
        *([release.kernel] if release.kernel else []),  # releases from before there were any keep their hash
        *([{"sandbox": release.sandbox}] if release.sandbox else []),
        *_image_parts(release, process_type),
        *([release.slug.layers] if release.slug and release.slug.layers else []),
        *_volume_parts(release, process_type),
    ]
    text = json.dumps(parts, sort_keys=True).encode()
    return hmac.new(settings.SECRET_KEY.encode(), text, hashlib.sha256).hexdigest()[:32]


def image_refs(layers: list[dict[str, Any]]) -> tuple[ImageRef, ...]:
    return tuple(ImageRef(digest=layer["digest"], size=layer.get("size", 0)) for layer in layers)


def _image_parts(release: Release, process_type: str) -> list[Any]:
    """What a process type has of a prebuilt image; another type's image is no reason to start it anew."""
    image = image_for(release.slug, process_type)
    return [msgspec.to_builtins(image)] if image else []


def _volume_parts(release: Release, process_type: str) -> list[Any]:
    mine = sorted(
        (one.volume, one.target, one.read_only) for one in bindings(release) if one.type == process_type
    )
    return [mine] if mine else []


def rootfs(release: Release, process_type: str) -> Rootfs:
    """The slug over the stack that the release froze; a prebuilt image has its own system and lies over nothing."""
    own = layers(release, process_type)
    if image_for(release.slug, process_type) is not None:
        return Rootfs(layers=own)
    return Rootfs(layers=own + image_refs(release.stack_layers), host=not release.stack_layers)


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
    app: App, release: Release, name: str, size: Size, config: Mapping[str, str], started: Program
) -> dict[str, str]:
    """Return the environment: what the build asks for, then config vars, then what the platform alone decides."""
    return {
        **started.env,
        **{variable: value for variable, value in config.items() if variable != REGISTRY_AUTH},
        "DYNO": name,
        "HOME": started.home,
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
    kind = HealthKind.TCP if process_type == WEB else HealthKind.STEADY
    if declared.get("path") and process_type == WEB:
        kind = HealthKind.HTTP
    elif declared.get("command"):
        kind = HealthKind.COMMAND
    if kind is HealthKind.STEADY:
        return HealthCheck(kind=kind)
    checked = declared if kind in (HealthKind.HTTP, HealthKind.COMMAND) else {}
    values = {**checked, "kind": kind.value, "start_timeout": float(settings.PAAS.boot_timeout)}
    return from_builtins(values, HealthCheck)


def instance_spec(release: Release, process_type: str, number: int, instance_id: UUID) -> InstanceSpec:
    """Return the complete order for one instance."""
    entry = release.formation[process_type]
    started = program(release, process_type, entry["command"])
    container = _container(
        instance_id,
        release,
        process_type,
        f"{process_type}.{number}",
        SIZES[entry["size"]],
        started,
        release_config(release),
    )
    if port := started.port if process_type == WEB else None:
        container = replace(container, port=port, env={**container.env, "PORT": str(port)})
    container = replace(container, volumes=mounts_of(release, process_type))
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
    process_type = name.partition(".")[0]
    container = replace(
        _container(
            job_id,
            release,
            process_type,
            name,
            SIZES.get(size_name, SIZES[DEFAULT_SIZE]),
            program(release, process_type, command),
            {**release_config(release), **extra_env},
        ),
        volumes=one_off_mounts(release),
        tty=terminal is not None and terminal.tty,
        stdin=terminal is not None,
        logged=terminal is None,
    )
    return JobSpec(container=container, timeout=timeout, attach_seconds=ATTACH_SECONDS if terminal else 0.0)


def _container(
    container_id: UUID,
    release: Release,
    process_type: str,
    name: str,
    size: Size,
    started: Program,
    config: Mapping[str, str],
) -> ContainerSpec:
    """Return what instances and one-offs of a release have in common."""
    kernel, sandbox = release_kernel(release), release_sandbox(release)
    return ContainerSpec(
        id=str(container_id),
        owner=str(release.app_id),
        name=name,
        rootfs=rootfs(release, process_type),
        argv=started.argv,
        env=process_env(release.app, release, name, size, config, started),
        cwd=started.cwd,
        account=started.account,
        foreign=started.foreign,
        stop_signal=started.stop_signal,
        hostname=name.replace(".", "-").replace("_", "-"),
        limits=size_limits(size),
        sysctls=kernel.sysctls,
        ulimits=kernel.ulimits,
        runtime=sandbox.runtime,
        seccomp=sandbox.seccomp,
        readonly=sandbox.readonly,
    )


def build_rootfs(stack: Stack, builder: ImageRef, languages: tuple[str, ...] = ()) -> Rootfs:
    """The builder over what languages add, over the build image over the run image."""
    layers = (builder, *image_refs(build_layers(stack, languages)))
    return Rootfs(layers=layers, host=stack.on_host)


def build_limits() -> Limits:
    """Builds get less weight than apps, so that they can never starve them."""
    return Limits(memory_bytes=2 * 1024**3, cpu_shares=512, pids=1024, tmp_bytes=512 * 1024**2)


BUILD_NETWORK = NetworkMode.BUILD
