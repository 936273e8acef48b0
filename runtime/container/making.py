"""Making one container, from its spec to a process that waits for `start`.

In: a `ContainerSpec` with binds and volumes.  Out: a `Record`; on any failure nothing is left.
Everything here runs inside the private mount namespace.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from runtime import slices
from runtime.container import (
    adapting,
    attaching,
    bundle,
    conmon,
    hooks,
    host,
    process,
    profiles,
    rootfs,
    roots,
    runtimes,
    seccomp,
    sysctls,
    ulimits,
)
from runtime.container.foreign import Foreign
from runtime.container.layout import Layout
from runtime.container.membership import join_network, take_slot
from runtime.container.owners import WIDTH
from runtime.container.parts import Parts, Request
from runtime.container.port import EngineError
from runtime.container.requests import clean_hostname
from runtime.container.storage import Record, save
from runtime.container.syscall_rules import Profile
from runtime.container.unmaking import unmake
from runtime.model import IMAGE_BUILD, ContainerSpec, NetworkMode
from runtime.network import resolver, rules
from runtime.network.pool import Slot


def make(parts: Parts, request: Request) -> Record:
    """Make the container. Raises EngineError; then nothing of it is left but its log."""
    container = request.spec.id
    directory = parts.layout.bundle(container)
    chosen = parts.runtimes.choose(request.spec.runtime)
    foreign = adapting.load(request.spec)
    if foreign:
        request = replace(request, spec=adapting.adapt(request.spec, foreign))
    if directory.exists():
        unmake(parts, container, None)
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(unmake, parts, container, None)
            directory.mkdir(mode=0o700)
            runtimes.remember(directory, chosen)
            late = parts.isolated and chosen.makes_network and parts.pool.guarded
            profile = _isolation(parts, request.spec)
            slot = take_slot(parts, request.spec, undo, late=late)
            record = _assemble(parts, request, Making(chosen, slot, late, profile, foreign), undo)
            undo.pop_all()
            return record
    except OSError as error:
        raise EngineError(f"The container could not be made: {error}.") from error


@dataclass(frozen=True, slots=True)
class Making:
    """What is decided about a container. `late`: its runtime makes the network namespace, connected afterwards."""

    chosen: runtimes.Runtime
    slot: Slot | None
    late: bool
    profile: Profile
    foreign: Foreign | None = None

    @property
    def netns(self) -> str:
        return self.slot.path if self.slot and not self.late else ""


def _isolation(parts: Parts, spec: ContainerSpec) -> Profile:
    """Return the seccomp profile. Raises EngineError for what this host cannot isolate, before anything is taken."""
    if not parts.isolated and (spec.account.capable or spec.account.uid == 0):
        raise EngineError(
            "This image runs as root, which it may only in a user namespace of its own, and the agent of this host was "
            "told to make none; give the image a USER that is not root."
        )
    return profiles.load(parts.seccomp_dir, spec.seccomp)


def _assemble(parts: Parts, request: Request, making: Making, undo: contextlib.ExitStack) -> Record:
    spec, layout, chosen, slot = request.spec, parts.layout, making.chosen, making.slot
    parts.grace.begin()
    start = parts.owners.range_start(spec.owner)
    uid_start = start if parts.isolated else None
    hostname = clean_hostname(spec.hostname or spec.name)
    address = slot.address if slot else ""
    files = {
        "resolv.conf": resolver.render_resolv_conf(_nameservers(parts, spec, slot)),
        "hosts": resolver.render_hosts(address, hostname),
        "hostname": f"{hostname}\n",
    }
    with parts.mounts.beside(join_network, parts, spec, slot):
        root = roots.mount_root(parts, request, uid_start, files, making.foreign)
    if making.netns:
        rootfs.mount_sysfs(root / "sys", making.netns)
    opened = [roots.open_volume(parts, volume, start, uid_start, undo) for volume in request.volumes]
    if making.foreign:
        binds = roots.show_own_binds(parts, request, uid_start, making.foreign)
    else:
        binds = roots.show_binds(parts, request, uid_start)
    binds += [
        bundle.Mounted(source=str(path), target=volume.target, writable=True)
        for volume, (_, path) in zip(request.volumes, opened, strict=True)
    ]
    attached = attaching.attach(
        parts.data, spec, layout.work(spec.id), root, _mapping(parts, uid_start), undo
    )
    binds += attached.mounts
    prepared = _prepare(parts, spec, root, making.netns, uid_start, tuple(binds), hostname)
    profile = adapting.profile_of(making.profile, making.foreign)
    bpf = seccomp.compile_bpf(profile) if chosen.takes_bpf else ""
    prepared = msgspec.structs.replace(prepared, profile=profile, seccomp_bpf=bpf)
    _write_config(layout.bundle(spec.id), adapting.document(spec, prepared, parts.hooks_dirs, making.foreign))
    layout.log(spec.id).parent.mkdir(mode=0o700, exist_ok=True)
    stdio = conmon.Stdio(tty=spec.tty, stdin=spec.stdin, logged=spec.logged)
    pid, conmon_pid = conmon.create(
        spec.id, parts.sealed.of(chosen.path), _places(layout, spec.id, chosen.state), stdio
    )
    parts.cgroups.enter(layout.shims, conmon_pid)
    slices.shorten(pid)
    if slot and making.late:
        parts.pool.connect(slot, pid)
    sysctls.apply(pid, spec.sysctls, uid_start)
    record = Record(
        id=spec.id,
        owner=spec.owner,
        name=spec.name,
        boot_id=parts.boot_id,
        pid=pid,
        pid_started=process.start_time(pid),
        conmon_pid=conmon_pid,
        conmon_started=process.start_time(conmon_pid),
        memory_limit_bytes=spec.limits.memory_bytes,
        slot=slot.number if slot else -1,
        address=address,
        peers=spec.network is NetworkMode.APP,
        volumes=tuple(key for key, _ in opened),
        data=attached.keys,
        notes=attached.notes,
        paths=tuple((bind.target, bind.source) for bind in binds),
        images=tuple(ref.digest for ref in spec.rootfs.layers),
        stop_signal=spec.stop_signal,
    )
    save(layout.bundle(spec.id), record)
    return record


def _mapping(parts: Parts, uid_start: int | None) -> attaching.Mapping:
    """How a user namespace is made that shows what is stored as 0 and up as the container's own; None without one."""
    return None if uid_start is None else lambda: parts.namespaces.duplicate(0, uid_start, WIDTH)


def _nameservers(parts: Parts, spec: ContainerSpec, slot: Slot | None) -> tuple[str, ...]:
    """The agent is asked first, which knows apps' names and egress rules; should it not answer, the host's servers."""
    if not parts.pool.guarded:
        return (parts.pool.nameservers(slot) if slot else ()) or parts.nameservers
    return parts.nameservers if spec.network is NetworkMode.NONE else (rules.GATEWAY, *parts.nameservers)


def _places(layout: Layout, container: str, state: str) -> conmon.Places:
    return conmon.Places(
        bundle=str(layout.bundle(container)),
        state=state,
        exits=str(layout.exits),
        log=str(layout.log(container)),
    )


def _prepare(
    parts: Parts, spec: ContainerSpec, root: Path, netns: str, uid_start: int | None,
    binds: tuple[bundle.Mounted, ...], hostname: str,
) -> bundle.Prepared:  # fmt: skip
    own_adjustment = int(Path("/proc/self/oom_score_adj").read_text())
    return bundle.Prepared(
        rootfs=str(root),
        cgroup=parts.layout.cgroup_of(spec.id),
        init=str(host.INIT),
        uid_start=uid_start,
        netns=netns,
        apparmor="" if spec.seccomp == IMAGE_BUILD else parts.apparmor,  # it denies every mount
        binds=binds,
        ceilings=ulimits.own_ceilings(),
        oom_score_adj=max(300, own_adjustment),  # tenants go first; lowering needs CAP_SYS_RESOURCE
        cgroup_version=parts.cgroups.version,
        limits_swap=parts.cgroups.limits_swap(),
        ca_bundle=parts.ca_bundle is not None,
        hostname=hostname,
    )


def _write_config(directory: Path, document: adapting.Document) -> None:
    file, document = directory / "config.json", hooks.keep_aside(directory, document)
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)  # it holds the config vars
    with os.fdopen(fd, "wb") as stream:
        stream.write(msgspec.json.encode(document))
