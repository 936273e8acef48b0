"""Making and unmaking one container, from its spec to a process that waits for `start`.

In: a `ContainerSpec` with binds and volumes.  Out: a `Record`; on any failure nothing is left.
Everything here runs inside the private mount namespace.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

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
from runtime.container.cgroup import CgroupV1, CgroupV2
from runtime.container.foreign import Foreign
from runtime.container.grace import Grace
from runtime.container.layout import Layout
from runtime.container.namespace import MountNamespace
from runtime.container.owners import FIRST, WIDTH, Owners, UserNamespaces
from runtime.container.port import Bind, EngineError, VolumeBind
from runtime.container.sealed import Sealed
from runtime.container.storage import Record, save
from runtime.container.syscall_rules import Profile
from runtime.images.shifting import Lowers
from runtime.images.store import Images
from runtime.model import IMAGE_BUILD, ContainerSpec, NetworkMode, check_ulimit, parse_sysctl
from runtime.network import resolver, rules
from runtime.network.cni.network import CniNetwork
from runtime.network.confinement import Confinement
from runtime.network.nftables import Nftables
from runtime.network.pool import Pool, Slot
from runtime.network.wiring import Wiring
from runtime.volumes.store import VolumeStore
from runtime.volumes.volumes import Volumes

log = logging.getLogger(__name__)
_CONMON_GRACE = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """What `Engine.create` was asked for."""

    spec: ContainerSpec
    binds: tuple[Bind, ...]
    scratch_bytes: int
    volumes: tuple[VolumeBind, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The engine's parts, as one value. `isolated`: containers get a user namespace of their own."""

    layout: Layout
    runtime: str
    runtimes: runtimes.Runtimes
    sealed: Sealed
    seccomp_dir: Path
    hooks_dirs: tuple[Path, ...]
    apparmor: str
    cgroups: CgroupV1 | CgroupV2
    owners: Owners
    namespaces: UserNamespaces
    images: Images
    lowers: Lowers
    volumes: Volumes
    data: VolumeStore
    pool: Pool | CniNetwork
    firewall: Nftables
    names: rules.Names
    wiring: Wiring
    confinement: Confinement
    grace: Grace
    mounts: MountNamespace
    isolated: bool
    ca_bundle: Path | None
    nameservers: tuple[str, ...]
    boot_id: str = field(default_factory=process.boot_id)


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
            slot = _take_slot(parts, request.spec, undo, late=late)
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


class _Config(msgspec.Struct):
    hooks: dict[str, msgspec.Raw] = {}


class Household(Protocol):
    """What it takes to remove a container: `Parts`, or less."""

    @property
    def layout(self) -> Layout: ...
    @property
    def runtime(self) -> str: ...
    @property
    def cgroups(self) -> CgroupV1 | CgroupV2: ...


def unmake(parts: Household, container: str, record: Record | None) -> None:
    """Remove every trace of a container but its log. Nothing when it is gone."""
    layout = parts.layout
    directory, maker = layout.bundle(container), runtimes.maker_of(layout, container, parts.runtime)
    if record is None:
        process.kill_supervisors(str(directory))
    if record is None or record.exit is None or has_hooks(directory):
        # Of one that has ended the runtime would only remove the group and its folder, as is done below: 8 ms less.
        with contextlib.suppress(EngineError):  # then its control group is killed below
            conmon.run_runtime(maker.path, maker.state, "delete", "--force", container)
    if record is None:
        process.reap_soon(conmon.read_pid(directory), _CONMON_GRACE)
    else:
        process.wait_gone(record.conmon_pid, record.conmon_started, _CONMON_GRACE)
        process.end(record.conmon_pid, record.conmon_started, _CONMON_GRACE)
    kill_group(parts.cgroups, layout.cgroup_of(container))
    hooks.run_ended(directory, container)
    rootfs.dismantle(layout.work(container))
    for name in (container, f"{container}.ext4"):
        (layout.scratch / name).unlink(missing_ok=True)
    (layout.exits / container).unlink(missing_ok=True)
    shutil.rmtree(Path(maker.state, container), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def has_hooks(directory: Path) -> bool:
    """Tell whether a bundle asks for commands at its start or removal, which are for the runtime to run."""
    try:
        return bool(msgspec.json.decode((directory / "config.json").read_bytes(), type=_Config).hooks)
    except (OSError, ValueError):
        return False


def kill_group(cgroups: CgroupV1 | CgroupV2, path: str) -> None:
    """Kill what the runtime may have left in a control group, and remove the group."""
    for pid in cgroups.processes(path):
        process.end(pid, process.start_time(pid), _CONMON_GRACE)
    cgroups.remove(path)


def leave_network(parts: Parts, member: rules.Member, slot: Slot) -> None:
    """Close the firewall for an address, then free it."""
    if parts.pool.guarded:
        parts.confinement.leave(member)
        try:
            parts.wiring.left()
        except EngineError as error:
            log.error("the ways to %s could not be closed: %s", member.address, error)
    parts.pool.release(slot)


def member_of(parts: Parts, record: Record) -> rules.Member:
    """Return the firewall's view of a container known from its record."""
    slot = parts.pool.slot(record.slot, record.address)
    owner = _owner_mark(parts, record.owner) if record.peers else 0
    return rules.Member(interface=slot.interface, address=slot.address, owner=owner)


def _take_slot(parts: Parts, spec: ContainerSpec, undo: contextlib.ExitStack, *, late: bool) -> Slot | None:
    pool = parts.pool
    if spec.network is NetworkMode.NONE:
        return None
    if not spec.address:
        slot = pool.reserve() if late else pool.take(spec.id)
    elif isinstance(pool, Pool):
        slot = pool.reserve(spec.address) if late else pool.take_exactly(spec.address)
    else:
        raise EngineError(
            f"{spec.name} asks for the address {spec.address}; here the CNI network gives addresses."
        )
    undo.callback(leave_network, parts, _member(parts, spec, slot), slot)
    return slot


def _join_network(parts: Parts, spec: ContainerSpec, slot: Slot | None) -> None:
    if slot is None or not parts.pool.guarded:
        return
    member = _member(parts, spec, slot)
    parts.confinement.admit(member, spec.owner)
    if member.owner:
        parts.wiring.admit(spec.owner)


def _member(parts: Parts, spec: ContainerSpec, slot: Slot) -> rules.Member:
    owner = _owner_mark(parts, spec.owner) if spec.network is NetworkMode.APP else 0
    return rules.Member(interface=slot.interface, address=slot.address, owner=owner)


def _owner_mark(parts: Parts, owner: str) -> int:
    return mark_of(parts.owners.range_start(owner))


def mark_of(start: int) -> int:
    """Return an owner's number for the firewall: 1 and up, since 0 means nobody. `start`: of its user range."""
    return (start - FIRST) // WIDTH + 1


def marks(owners: Owners) -> dict[str, int]:
    return {owner: mark_of(start) for owner, start in owners.all().items()}


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
    with parts.mounts.beside(_join_network, parts, spec, slot):
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
