"""config.json of one container, written into its bundle.

In: what was decided about it and what its root and binds are.  Out: the file that the OCI runtime reads; hooks that the
agent runs itself are put aside.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from runtime.container import adapting, bundle, hooks, host, seccomp, ulimits
from runtime.container.deciding import Making
from runtime.container.layout import Layout
from runtime.container.parts import Parts
from runtime.model import IMAGE_BUILD


def configure(parts: Parts, making: Making, root: Path, binds: tuple[bundle.Mounted, ...]) -> None:
    prepared = _prepare(parts, making, root, binds)
    document = adapting.document(making.spec, prepared, parts.hooks_dirs, making.foreign)
    _write(parts.layout, making.spec.id, document)


def _prepare(parts: Parts, making: Making, root: Path, binds: tuple[bundle.Mounted, ...]) -> bundle.Prepared:
    spec = making.spec
    own_adjustment = int(Path("/proc/self/oom_score_adj").read_text())
    return bundle.Prepared(
        rootfs=str(root),
        cgroup=parts.layout.cgroup_of(spec.id),
        init=str(host.INIT),
        uid_start=making.uid_start,
        netns=making.netns,
        apparmor="" if spec.seccomp == IMAGE_BUILD else parts.apparmor,  # it denies every mount
        binds=binds,
        ceilings=ulimits.own_ceilings(),
        oom_score_adj=max(300, own_adjustment),  # tenants go first; lowering needs CAP_SYS_RESOURCE
        cgroup_version=parts.cgroups.version,
        limits_swap=parts.cgroups.limits_swap(),
        ca_bundle=parts.ca_bundle is not None,
        profile=making.profile,
        seccomp_bpf=seccomp.compile_bpf(making.profile) if making.chosen.takes_bpf else "",
        hostname=making.hostname,
    )


def _write(layout: Layout, container: str, document: adapting.Document) -> None:
    file = layout.bundle(container) / "config.json"
    document = hooks.keep_aside(layout.late_hooks_of(container), document)
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)  # it holds the config vars
    with os.fdopen(fd, "wb") as stream:
        stream.write(msgspec.json.encode(document))
