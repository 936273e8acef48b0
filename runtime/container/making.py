"""Making one container, from its spec to a process that waits for `start`.

In: a `ContainerSpec` with binds and volumes.  Out: a `Record`; on any failure nothing is left.
Everything here runs inside the private mount namespace.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from runtime import slices
from runtime.container import (
    adapting,
    attaching,
    bundle,
    conmon,
    offering,
    process,
    rootfs,
    roots,
    runtimes,
    sysctls,
)
from runtime.container.configuring import configure
from runtime.container.deciding import Making, decide
from runtime.container.layout import Layout
from runtime.container.membership import join_network
from runtime.container.owners import WIDTH
from runtime.container.parts import Parts, Request
from runtime.container.port import EngineError
from runtime.container.storage import Record, save
from runtime.container.unmaking import unmake
from runtime.model import ContainerSpec, NetworkMode
from runtime.network import resolver, rules
from runtime.network.pool import Slot


@dataclass(frozen=True, slots=True)
class Shown:
    """What is mounted below a container's work directory. `caches`: keys of the build caches held for it."""

    root: Path
    binds: tuple[bundle.Mounted, ...]
    caches: tuple[str, ...]
    attached: attaching.Attached
    offered: offering.Offered


def make(parts: Parts, request: Request) -> Record:
    """Make the container. Raises EngineError; then nothing of it is left but its log."""
    container, layout = request.spec.id, parts.layout
    chosen = parts.runtimes.choose(request.spec.runtime)
    foreign = adapting.load(request.spec)
    if foreign:
        request = replace(request, spec=adapting.adapt(request.spec, foreign))
    if layout.bundle(container).exists() or layout.record(container).exists():
        unmake(parts, container, None)
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(unmake, parts, container, None)
            layout.bundle(container).mkdir(mode=0o700)
            runtimes.remember(layout.bundle(container), chosen)
            record = _assemble(parts, decide(parts, request, chosen, foreign, undo), undo)
            undo.pop_all()
            return record
    except OSError as error:
        raise EngineError(f"The container could not be made: {error}.") from error


def _assemble(parts: Parts, making: Making, undo: contextlib.ExitStack) -> Record:
    parts.grace.begin()
    shown = _show(parts, making, undo)
    configure(parts, making, shown.root, shown.binds)
    pid, conmon_pid = _create(parts, making)
    record = _record(parts, making, shown, pid, conmon_pid)
    save(parts.layout.record(record.id), record)
    return record


def _show(parts: Parts, making: Making, undo: contextlib.ExitStack) -> Shown:
    """Mount the root, the firewall being opened meanwhile; then files of the host and volumes."""
    request, spec, uid_start = making.request, making.spec, making.uid_start
    with parts.mounts.beside(join_network, parts, spec, making.slot):
        offered = () if making.foreign else offering.choose(parts, request, making.start)
        root = roots.mount_root(parts, request, uid_start, _etc(parts, making), making.foreign, offered)
    if making.netns:
        rootfs.mount_sysfs(root / "sys", making.netns)
    opened = [roots.open_volume(parts, one, making.start, uid_start, undo) for one in request.volumes]
    if making.foreign:
        binds = roots.show_own_binds(parts, request, uid_start, making.foreign)
    else:
        binds = roots.show_binds(parts, request, uid_start)
    binds += [
        bundle.Mounted(source=str(path), target=volume.target, writable=True)
        for volume, (_, path) in zip(request.volumes, opened, strict=True)
    ]
    work, mapping = parts.layout.work(spec.id), _mapping(parts, uid_start)
    attached = attaching.attach(parts.data, spec, work, root, mapping, undo)
    return Shown(root, (*binds, *attached.mounts), tuple(key for key, _ in opened), attached, offered)


def _etc(parts: Parts, making: Making) -> dict[str, str]:
    """Return the files of /etc that each container has of its own."""
    return {
        "resolv.conf": resolver.render_resolv_conf(_nameservers(parts, making.spec, making.slot)),
        "hosts": resolver.render_hosts(making.address, making.hostname),
        "hostname": f"{making.hostname}\n",
    }


def _nameservers(parts: Parts, spec: ContainerSpec, slot: Slot | None) -> tuple[str, ...]:
    """The agent is asked first, which knows apps' names and egress rules; should it not answer, the host's servers."""
    if not parts.pool.guarded:
        return (parts.pool.nameservers(slot) if slot else ()) or parts.nameservers
    return parts.nameservers if spec.network is NetworkMode.NONE else (rules.GATEWAY, *parts.nameservers)


def _mapping(parts: Parts, uid_start: int | None) -> attaching.Mapping:
    """How a user namespace is made that shows what is stored as 0 and up as the container's own; None without one."""
    return None if uid_start is None else lambda: parts.namespaces.duplicate(0, uid_start, WIDTH)


def _create(parts: Parts, making: Making) -> tuple[int, int]:
    """Let conmon and the runtime make the process. Returns its pid and conmon's."""
    spec, layout, chosen = making.spec, parts.layout, making.chosen
    layout.log(spec.id).parent.mkdir(mode=0o700, exist_ok=True)
    stdio = conmon.Stdio(tty=spec.tty, stdin=spec.stdin, logged=spec.logged)
    places = _places(layout, spec.id, chosen.state)
    pid, conmon_pid = conmon.create(spec.id, parts.sealed.of(chosen.path), places, stdio)
    parts.cgroups.enter(layout.shims, conmon_pid)
    slices.shorten(pid)
    if making.slot and making.late:
        parts.pool.connect(making.slot, pid)
    sysctls.apply(pid, spec.sysctls, making.uid_start)
    return pid, conmon_pid


def _places(layout: Layout, container: str, state: str) -> conmon.Places:
    return conmon.Places(
        bundle=str(layout.bundle(container)),
        state=state,
        exits=str(layout.exits),
        log=str(layout.log(container)),
    )


def _record(parts: Parts, making: Making, shown: Shown, pid: int, conmon_pid: int) -> Record:
    spec = making.spec
    return Record(
        id=spec.id,
        owner=spec.owner,
        name=spec.name,
        boot_id=parts.boot_id,
        pid=pid,
        pid_started=process.start_time(pid),
        conmon_pid=conmon_pid,
        conmon_started=process.start_time(conmon_pid),
        memory_limit_bytes=spec.limits.memory_bytes,
        slot=making.slot.number if making.slot else -1,
        address=making.address,
        peers=spec.network is NetworkMode.APP,
        volumes=shown.caches,
        data=shown.attached.keys,
        notes=shown.attached.notes,
        paths=tuple((bind.target, bind.source) for bind in shown.binds),
        images=tuple(ref.digest for ref in spec.rootfs.layers),
        stop_signal=spec.stop_signal,
        offered=shown.offered,
    )
