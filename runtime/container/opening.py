"""Opening an engine: check the host, take over what an earlier process left, clear what it left half-made.

In: the configuration.  Out: the engine's `Parts` and the records of living and ended containers.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from runtime.container import apparmor, conmon, files, host, membership, process, rootfs, seccomp, syscalls
from runtime.container.cgroup import detect
from runtime.container.config import EngineConfig
from runtime.container.grace import Grace, own_members
from runtime.container.layout import SHIMS, Layout
from runtime.container.namespace import MountNamespace
from runtime.container.owners import Owners, UserNamespaces
from runtime.container.parts import Parts
from runtime.container.port import EngineError
from runtime.container.runtimes import Runtimes, maker_of
from runtime.container.sealed import Sealed
from runtime.container.storage import Record, load_all
from runtime.container.unmaking import kill_group, unmake
from runtime.images import hoststack, squashfs
from runtime.images.shifting import Lowers, Shift
from runtime.images.store import Images
from runtime.network import resolver, rules
from runtime.network.cni import conf
from runtime.network.cni.attachments import Attachments
from runtime.network.cni.network import CniNetwork
from runtime.network.confinement import Confinement
from runtime.network.nftables import Nftables
from runtime.network.overlay import Mode
from runtime.network.pool import Pool, Slot, outgoing_mtu
from runtime.network.wiring import Wiring
from runtime.volumes import loop
from runtime.volumes.store import VolumeStore
from runtime.volumes.volumes import Volumes

# All containers together against the rest of the machine. With the usual weight a single one that takes all it can get
# uses up what all of them may have, and its neighbours wait for their turn whenever the machine itself has work.
_TENANTS_SHARES = 4096
# All conmons together: a flood of output waits in the pipe of whoever writes it instead of taking a core and the disk.
_SHIMS_SHARES = 1024
_SHIMS_CORES = 0.25  # of each processor
_TAG = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")


def open_parts(
    config: EngineConfig, layout: Layout, mounts: MountNamespace
) -> tuple[Parts, tuple[Record, ...]]:
    """Prepare the host. Raises EngineError naming what it lacks."""
    runtime = host.check(config.runtime)
    _check_config(config)
    cgroups = detect()
    syscalls.set_child_subreaper()
    layout.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in layout.directories():
        directory.mkdir(mode=0o700, exist_ok=True)
    mounts.open()
    mounts.call(layout.bundles.mkdir, mode=0o700, exist_ok=True)
    names = rules.names_of(config.tag)
    namespaces = UserNamespaces()
    run = layout.run
    images = Images(layout.home / "images", run / "img")
    shift = _decide_shift(config, layout, mounts, namespaces)
    owners, firewall = Owners(layout.home / "owners.json"), Nftables()

    confinement = Confinement(layout.home / "egress.json", names, firewall)

    def make_slot(make: object) -> Slot:
        return mounts.call(make)  # type: ignore[arg-type]

    parts = Parts(
        layout=layout,
        runtime=runtime,
        runtimes=Runtimes(layout, runtime, None if config.runtimes is None else dict(config.runtimes)),
        sealed=Sealed(run / "bin"),
        seccomp_dir=config.seccomp_dir,
        hooks_dirs=config.hooks_dirs,
        apparmor=apparmor.load(config.tag),
        cgroups=cgroups,
        owners=owners,
        namespaces=namespaces,
        images=images,
        lowers=Lowers(images, layout.copies, layout.home / "stack", shift),
        volumes=Volumes(layout.home / "volumes", run / "vol"),
        data=VolumeStore(layout.data, run / "data"),
        pool=_network(config, layout)
        or Pool(config.subnet, names.veth, run / "net", config.pool_size, make_slot),
        firewall=firewall,
        names=names,
        wiring=Wiring(
            layout.home / "network.json",
            names,
            firewall,
            config.subnet,
            Mode(config.overlay),
            config.underlay,
            lambda: membership.marks(owners),
            confinement.containers,
            outgoing_mtu,
        ),
        confinement=confinement,
        grace=Grace(own_members()),
        mounts=mounts,
        isolated=shift is not Shift.NONE,
        ca_bundle=config.ca_bundle,
        nameservers=resolver.nameservers(),
    )
    cgroups.weigh(layout.cgroup, _TENANTS_SHARES)
    cgroups.weigh(layout.shims, _SHIMS_SHARES, _SHIMS_CORES * (os.cpu_count() or 1))
    seccomp.compile_bpf()
    records = load_all(layout)
    _open_network(parts, config, records, mounts)
    return parts, records


def remove_leftovers(parts: Parts, records: tuple[Record, ...]) -> None:
    """Remove what belongs to no record: half-made containers, mounts, control groups, files. Runs in the namespace."""
    layout, known = parts.layout, {record.id for record in records}
    parts.volumes.adopt(key for record in records for key in record.volumes)
    parts.data.recover((key, record.id, record.name) for record in records for key in record.data)
    places = (layout.records, layout.late_hooks, layout.bundles, layout.works)
    for container in _names(*places) - known:
        unmake(parts, container, None)
    for state in layout.states():
        for container in {entry.name for entry in state.iterdir() if entry.is_dir()} - known:
            maker = maker_of(layout, container, parts.runtime)
            conmon.run_runtime(maker.path, str(state), "delete", "--force", container)
            shutil.rmtree(state / container, ignore_errors=True)
    for container in set(parts.cgroups.children(layout.cgroup)) - known - {SHIMS}:
        kill_group(parts.cgroups, layout.cgroup_of(container))
    for name in _names(layout.exits) - known:
        (layout.exits / name).unlink(missing_ok=True)
    for file in layout.scratch.iterdir():
        file.unlink()
    for stage in (layout.run / "export").glob("*"):
        files.remove_stage(stage)
    parts.lowers.sweep(digest for record in records for digest in record.images)
    if not records:
        hoststack.remove_others(layout.home / "stack")


def _check_config(config: EngineConfig) -> None:
    if config.ca_bundle is not None and not config.ca_bundle.is_file():
        raise EngineError(f"The CA bundle {config.ca_bundle} does not exist: apt install ca-certificates.")
    if not _TAG.match(config.tag):
        raise EngineError(f"The tag {config.tag!r} must be 1-32 lower-case letters, digits, '-' or '_'.")
    try:
        rules.normalize((config.subnet, *config.blocked))
    except ValueError as error:
        raise EngineError(f"An address in the agent's settings is malformed: {error}.") from error


def _open_network(
    parts: Parts, config: EngineConfig, records: tuple[Record, ...], mounts: MountNamespace
) -> None:
    networked = [record for record in records if record.slot >= 0 and record.boot_id == parts.boot_id]
    if not parts.pool.guarded:
        _open_cni(parts, networked, mounts)
        return
    if attached := Attachments(parts.layout.cni).all():
        raise EngineError(
            f"{len(attached)} containers of {parts.layout.home} are on the CNI network {attached[0].chain.name}: set "
            "PAAS_AGENT_CNI again and stop them (python -m runtime stop) before the agent's own network takes over."
        )
    members = tuple(membership.member_of(parts, record) for record in networked)
    table = rules.render_table(parts.names, config.subnet, config.blocked, parts.nameservers, members)
    owners = (record.owner for record in networked)
    confined = parts.confinement.load(zip(members, owners, strict=True))
    parts.firewall.run(table + confined + parts.wiring.load())
    taken = tuple((record.slot, record.address) for record in networked)
    mounts.call(parts.pool.adopt, taken)
    parts.pool.open()


def _network(config: EngineConfig, layout: Layout) -> CniNetwork | None:
    """Return the CNI network that is set, None for our own."""
    if not config.cni:
        return None
    try:
        chain = conf.find(config.cni_conf_dir, config.cni)
    except ValueError as error:
        raise EngineError(f"PAAS_AGENT_CNI cannot be used: {error}") from error
    places = (Attachments(layout.cni), layout.run / "net", layout.cni_prefix)
    return CniNetwork(chain, config.cni_bin_dir, *places, config.cni_seconds)


def _open_cni(parts: Parts, networked: list[Record], mounts: MountNamespace) -> None:
    parts.pool.open()
    mounts.call(parts.pool.adopt, tuple((record.slot, record.address) for record in networked))


def _names(*directories: Path) -> set[str]:
    return {entry.name for directory in directories if directory.is_dir() for entry in directory.iterdir()}


def _decide_shift(
    config: EngineConfig, layout: Layout, mounts: MountNamespace, namespaces: UserNamespaces
) -> Shift:
    """Choose how images get their owners: as configured, else the cheapest way that this kernel knows."""
    if config.user_namespaces is False:
        return Shift.NONE
    if config.shift:
        return Shift(config.shift)
    image = _probe_image(layout)
    place = layout.run / f"probe-{process.boot_id()[:8]}"

    def probe() -> Shift:
        mounted = place / "image"
        mounted.mkdir(parents=True)
        try:
            loop.mount_file(image, mounted, "squashfs", readonly=True)
            if rootfs.probe_idmapping(mounted, place / "shifted", namespaces):
                return Shift.IDMAPPED
            unpacked = rootfs.probe_idmapping(layout.copies, place / "shifted", namespaces)
            return Shift.UNPACKED if unpacked else Shift.CHOWNED
        except OSError as error:
            raise EngineError(f"This kernel cannot mount squashfs images: {error}.") from error
        finally:
            rootfs.dismantle(place)

    return mounts.call(probe)


def _probe_image(layout: Layout) -> Path:
    image = layout.home / "probe.squashfs"
    if not image.exists():
        source = layout.home / "probe"
        source.mkdir(exist_ok=True)
        squashfs.pack(source, image)
        shutil.rmtree(source)
    return image
