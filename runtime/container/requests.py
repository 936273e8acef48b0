"""Whether a container can be made of what was asked for. Pure.

In: a `Request`.  Out: nothing, or an EngineError that says what to ask for instead.
"""

from __future__ import annotations

import re

from runtime.container import adapting, attaching
from runtime.container.parts import Request
from runtime.container.port import EngineError
from runtime.model import IMAGE_BUILD, ContainerSpec, NetworkMode, check_ulimit, parse_sysctl


def check_request(request: Request) -> None:
    """Raise EngineError for a spec that no container can be made of."""
    spec = request.spec
    if spec.bundle:
        adapting.check_spec(spec, binds=bool(request.binds))
    else:
        _check_program(spec)
    targets = (*(b.target for b in request.binds), *(v.target for v in request.volumes))
    for path in (*targets, spec.cwd):
        if not path.startswith("/") or ".." in path.split("/"):
            raise EngineError(f"{path!r} is not an absolute path inside the container.")
    if any(not target.strip("/") for target in targets):
        raise EngineError("Nothing can be mounted over the root of a container; name a directory below it.")
    for name, value in spec.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise EngineError(f"The config var {name!r} cannot be an environment variable.")
    attaching.check_mounts(spec.volumes, targets)
    if spec.seccomp == IMAGE_BUILD and spec.network is NetworkMode.APP:
        raise EngineError(
            f"The seccomp profile {IMAGE_BUILD} is for builds: no app of the network may have it. Name another of "
            "this host's, or none."
        )
    check_kernel(spec)


def _check_program(spec: ContainerSpec) -> None:
    if not spec.argv or not spec.argv[0]:
        raise EngineError(f"Container {spec.id} has no command to run.")
    if any("\0" in word for word in spec.argv):
        raise EngineError("A command must not hold NUL characters.")
    if not spec.rootfs.layers and not spec.rootfs.host:
        raise EngineError(f"Container {spec.id} has no root file system: give it layers or the host stack.")


def check_kernel(spec: ContainerSpec) -> None:
    """Raise EngineError for a sysctl or ulimit that no container may have."""
    try:
        for name, value in spec.sysctls.items():
            parse_sysctl(name, value)
        for name, (soft, hard) in spec.ulimits.items():
            check_ulimit(name, soft, hard)
    except ValueError as error:
        raise EngineError(str(error)) from error


def clean_hostname(name: str) -> str:
    """Return `name` with only what a host name may hold (RFC 1123)."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", name)[:63].strip(".-") or "app"
