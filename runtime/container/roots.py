"""What the root of a container is made of: images or a bundle's own, volumes, and paths of the host.

In: the engine's parts and a request.  Out: mounts below the container's work directory. Runs in the mount namespace.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from runtime.container import bundle, rootfs
from runtime.container.foreign import Foreign
from runtime.container.offering import Offered
from runtime.container.owners import APP_UID
from runtime.container.parts import Parts, Request
from runtime.container.port import Bind, EngineError, VolumeBind

_SMALLEST_LAYER = 1024**2


def mount_root(
    parts: Parts, request: Request, uid_start: int | None, files: dict[str, str], foreign: Foreign | None,
    offered: Offered = (),
) -> Path:  # fmt: skip
    spec, layout = request.spec, parts.layout
    if foreign:
        size = rootfs.Writable(size=max(_SMALLEST_LAYER, spec.limits.writable_bytes))
        own = (Path(foreign.root),)
        return rootfs.assemble(
            layout.work(spec.id), own, uid_start, size, {}, parts.namespaces, None, bare=True
        )
    lowers = (*(parts.images.mount(ref) for _, ref in offered), *parts.lowers.of(spec.rootfs, uid_start))
    scratch, limits = request.scratch_bytes, spec.limits
    writable = rootfs.Writable(
        size=scratch or max(_SMALLEST_LAYER, limits.writable_bytes),
        scratch=str(layout.scratch / f"{spec.id}.ext4") if scratch else "",
        tmp=0 if scratch else limits.tmp_bytes,
        foreign=spec.foreign,
        idmapped=parts.lowers.idmapped,
        redirected=bool(offered),
    )
    usr = Path("/usr") if spec.rootfs.host else None
    return rootfs.assemble(layout.work(spec.id), lowers, uid_start, writable, files, parts.namespaces, usr)


def open_volume(
    parts: Parts, volume: VolumeBind, start: int, uid_start: int | None, undo: contextlib.ExitStack
) -> tuple[str, Path]:
    app_uid = (uid_start or 0) + APP_UID
    key, path = parts.volumes.open(start, volume.name, volume.size_bytes, app_uid)
    undo.callback(parts.volumes.release, key)
    return key, path


def show_binds(parts: Parts, request: Request, uid_start: int | None) -> list[bundle.Mounted]:
    wanted = list(request.binds)
    if parts.ca_bundle is not None:
        wanted.insert(0, Bind(source=str(parts.ca_bundle), target=bundle.CA_BUNDLE))
    shown: list[bundle.Mounted] = []
    for number, bind in enumerate(wanted):
        source, target = Path(bind.source), parts.layout.work(request.spec.id) / f"b{number}"
        if not source.exists():
            raise EngineError(f"{source}, to be shown at {bind.target}, does not exist on this host.")
        rootfs.show_bind(
            source, target, writable=bind.writable, uid_start=uid_start, namespaces=parts.namespaces
        )
        shown.append(bundle.Mounted(source=str(target), target=bind.target, writable=bind.writable))
    return shown


def show_own_binds(
    parts: Parts, request: Request, uid_start: int | None, foreign: Foreign
) -> list[bundle.Mounted]:
    shown: list[bundle.Mounted] = []
    for number, bind in enumerate(foreign.binds):
        target = parts.layout.work(request.spec.id) / f"b{number}"
        rootfs.show_own(
            Path(bind.source),
            target,
            writable=bind.writable,
            uid_start=uid_start,
            namespaces=parts.namespaces,
        )
        shown.append(bundle.Mounted(source=str(target), target=bind.target, writable=bind.writable))
    return shown
