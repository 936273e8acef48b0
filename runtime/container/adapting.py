"""A standard bundle and the operator's hooks, worked into the config.json that this host would write itself.

In: a spec that names a bundle, what of the bundle counts, the hooks of the host.  Out: the document the runtime reads.
The host's own document is the ground: a bundle replaces command, environment and user in it, and else only narrows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runtime.container import foreign as bundles
from runtime.container import hooks
from runtime.container.bundle import INIT, Prepared, render
from runtime.container.foreign import Foreign
from runtime.container.port import EngineError
from runtime.container.syscall_rules import Profile, meet
from runtime.model import ContainerSpec, Limits

Document = dict[str, Any]


def check_spec(spec: ContainerSpec, *, binds: bool = False) -> None:
    """Raise EngineError for a spec that names a bundle and says itself what only the bundle says."""
    if not spec.bundle.startswith("/"):
        raise EngineError(f"The bundle {spec.bundle!r} is not an absolute path of this host.")
    if binds:
        raise EngineError("A bundle gets no files bound into it but its own; put them into the bundle.")
    if spec.argv or spec.env or spec.rootfs.layers or spec.rootfs.host:
        raise EngineError(
            "A container of a bundle has root, command and environment of its config.json, no others."
        )


def load(spec: ContainerSpec) -> Foreign | None:
    """Return what counts of a spec's bundle, None without one."""
    return bundles.load(spec.bundle) if spec.bundle else None


def notes(spec: ContainerSpec) -> tuple[str, ...]:
    """Return a sentence for each thing of a bundle that does not count."""
    try:
        found = load(spec)
    except EngineError:  # the container is there; its bundle has gone since
        return ()
    return tuple(f"Of the bundle {note}" for note in found.notes) if found else ()


def adapt(spec: ContainerSpec, foreign: Foreign) -> ContainerSpec:
    """Return the spec as its bundle has it; limits are the lesser of both."""
    given, limits = foreign, spec.limits
    cores = [one for one in (given.cpu_cores, limits.cpu_cores) if one is not None]
    narrowed = Limits(
        memory_bytes=min(limits.memory_bytes, given.memory_bytes or limits.memory_bytes),
        cpu_shares=min(limits.cpu_shares, given.cpu_shares or limits.cpu_shares),
        cpu_cores=min(cores, default=None),
        pids=min(limits.pids, given.pids or limits.pids),
        writable_bytes=limits.writable_bytes,
        tmp_bytes=limits.tmp_bytes,
        nofile=limits.nofile,
    )
    return msgspec.structs.replace(
        spec,
        argv=given.argv,
        cwd=given.cwd,
        hostname=given.hostname or spec.hostname,
        limits=narrowed,
        sysctls={**given.sysctls, **spec.sysctls},
        readonly=given.readonly or spec.readonly,
    )


def profile_of(ours: Profile, foreign: Foreign | None) -> Profile:
    """Return what both the host and the bundle allow."""
    return meet(ours, foreign.seccomp) if foreign and foreign.seccomp else ours


def apply(document: Document, spec: ContainerSpec, foreign: Foreign) -> Document:
    """Put a bundle's process, mounts and masks into the host's document. The process is PID 1, without our init."""
    process: Document = document["process"] | {
        "args": list(foreign.argv),
        "env": list(foreign.env),
        "user": {"uid": foreign.uid, "gid": foreign.gid, "umask": foreign.umask}
        | ({"additionalGids": list(foreign.groups)} if foreign.groups else {}),
        "capabilities": {kind: list(names) for kind, names in foreign.capabilities.items()},
        "rlimits": _rlimits(document["process"]["rlimits"], foreign),
    }
    linux: Document = document["linux"] | {
        "maskedPaths": list(dict.fromkeys((*document["linux"]["maskedPaths"], *foreign.masked))),
        "readonlyPaths": list(dict.fromkeys((*document["linux"]["readonlyPaths"], *foreign.readonly_paths))),
    }
    mounts = [one for one in document["mounts"] if one["destination"] != INIT]
    own = [one for one in mounts if one["type"] != "bind"]
    mounts = [
        *own,
        *(_tmpfs(target, spec) for target in foreign.tmpfs),
        *(one for one in mounts if one not in own),
    ]
    annotations = foreign.annotations | document.get("annotations", {})
    return document | {
        "process": process,
        "linux": linux,
        "mounts": mounts,
        "annotations": annotations,
    }


def _rlimits(ours: list[Document], foreign: Foreign) -> list[Document]:
    limits = {one["type"]: one for one in ours}
    for name, (soft, hard) in foreign.rlimits.items():
        limits[name] = {"type": name, "soft": soft, "hard": hard}
    return list(limits.values())


def _tmpfs(target: str, spec: ContainerSpec) -> Document:
    options = ["nosuid", "nodev", "mode=1777", f"size={spec.limits.tmp_bytes}"]
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}


def document(
    spec: ContainerSpec, prepared: Prepared, directories: tuple[Path, ...], foreign: Foreign | None
) -> Document:
    """Return config.json: the host's own, a bundle worked in, the host's hooks and then the bundle's."""
    whole = render(spec, prepared)
    if foreign:
        whole = apply(whole, spec, foreign)
    marks = {"io.paas.owner": spec.owner, "io.paas.name": spec.name, "io.paas.id": spec.id}
    annotations = {**(foreign.annotations if foreign else {}), **marks}
    subject = hooks.Subject(command=spec.argv[0], annotations=annotations, binds=bool(prepared.binds))
    found = hooks.matching(hooks.load(directories), subject)
    found = hooks.joined(found, foreign.hooks if foreign else {})
    if not found:
        return whole
    return whole | {"annotations": whole.get("annotations", {}) | marks, "hooks": found}
