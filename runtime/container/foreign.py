"""A standard OCI bundle: somebody else's config.json, kept within what this host lets any container do.

In: a directory with config.json and a root file system.  Out: `Foreign`: what of it counts, and notes on what does
not. EngineError names what is asked for and cannot be had. docs/runtime.md has the table of all of it.
"""

from __future__ import annotations

import json
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.container import hooks, trust
from runtime.container.port import EngineError
from runtime.container.syscall_rules import Profile, read_profile
from runtime.model import Struct, parse_sysctl

# What root in its own user namespace may keep: podman's defaults, and one that only writes audit lines.
CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT".split()
)
_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_OURS = ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/proc", "/sys")  # always there, in our form
_DEVICES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
)
_PRIORITIES = frozenset({"RLIMIT_RTPRIO", "RLIMIT_NICE"})
_IGNORED = ("intelRdt", "mountLabel", "personality", "timeOffsets")
_DROPPED_ANNOTATIONS = ("run.oci.", "org.systemd.", "io.katacontainers.", "io.paas.")


class Shown(Struct):
    """A bind of the bundle: `source` is a path of this host below the bundle."""

    source: str
    target: str
    writable: bool


class Foreign(Struct):
    """What of a bundle counts. Sizes in bytes; None: the bundle does not say."""

    root: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int
    capabilities: dict[str, tuple[str, ...]]
    rlimits: dict[str, tuple[int, int]]
    readonly: bool
    hostname: str
    tmpfs: tuple[str, ...]
    binds: tuple[Shown, ...]
    masked: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    sysctls: dict[str, str]
    memory_bytes: int | None
    pids: int | None
    cpu_shares: int | None
    cpu_cores: float | None
    seccomp: Profile | None
    hooks: dict[str, list[dict[str, Any]]]
    annotations: dict[str, str]
    notes: tuple[str, ...]


def load(directory: str) -> Foreign:
    """Read a bundle of this host. Only root may be able to change it: its hooks run as root."""
    bundle = Path(directory)
    file = bundle / "config.json"
    try:
        trust.check(file)
        return read(json.loads(file.read_bytes()), bundle.resolve())
    except FileNotFoundError as error:
        raise EngineError(f"{directory} is no OCI bundle: {error.filename} does not exist.") from error
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise EngineError(f"The bundle {directory} cannot be run: {error}") from error


def read(document: Mapping[str, Any], bundle: Path) -> Foreign:
    """Take from a config.json what counts. Raises ValueError for what is refused."""
    if not str(document.get("ociVersion", "")).startswith("1."):
        raise ValueError(f"its ociVersion {document.get('ociVersion')!r} is not 1.x.")
    process, linux = document.get("process"), dict(document.get("linux") or {})
    if not process or not process.get("args"):
        raise ValueError("its config.json names no process to run.")
    _check_linux(linux)
    user, resources = dict(process.get("user") or {}), dict(linux.get("resources") or {})
    memory, cpu, pids = (dict(resources.get(name) or {}) for name in ("memory", "cpu", "pids"))
    tmpfs, binds, notes = _mounts(document.get("mounts") or (), bundle)
    return Foreign(
        root=str(_below(bundle, (document.get("root") or {}).get("path", ""), "root.path")),
        argv=tuple(map(str, process["args"])),
        env=tuple(map(str, process.get("env") or ())),
        cwd=_absolute(process.get("cwd"), "process.cwd"),
        uid=_identity(user.get("uid", 0)),
        gid=_identity(user.get("gid", 0)),
        groups=tuple(map(_identity, user.get("additionalGids") or ())),
        umask=int(user.get("umask", 0o022)),
        capabilities=_capabilities(process.get("capabilities") or {}),
        rlimits=_rlimits(process.get("rlimits") or ()),
        readonly=bool((document.get("root") or {}).get("readonly", False)),
        hostname=str(document.get("hostname", "")),
        tmpfs=tmpfs,
        binds=binds,
        masked=tuple(_absolute(one, "linux.maskedPaths") for one in linux.get("maskedPaths") or ()),
        readonly_paths=tuple(
            _absolute(one, "linux.readonlyPaths") for one in linux.get("readonlyPaths") or ()
        ),
        sysctls={name: parse_sysctl(name, str(value)) for name, value in (linux.get("sysctl") or {}).items()},
        memory_bytes=_positive(memory.get("limit")),
        pids=_positive(pids.get("limit")),
        cpu_shares=_positive(cpu.get("shares")),
        cpu_cores=_quota(cpu),
        seccomp=_seccomp(linux.get("seccomp")),
        hooks=_hooks(document.get("hooks") or {}),
        annotations=_annotations(document.get("annotations") or {}),
        notes=(*notes, *_notes(process, linux, resources)),
    )


def _check_linux(linux: Mapping[str, Any]) -> None:
    namespaces = {one.get("type"): one.get("path", "") for one in linux.get("namespaces") or ()}
    if joined := sorted(f"{kind} {path}" for kind, path in namespaces.items() if path):
        raise ValueError(
            f"it wants to join namespaces that exist ({', '.join(joined)}); containers get new ones."
        )
    if "network" not in namespaces:
        raise ValueError(
            "it has no network namespace: it would share the host's network. Add one to linux.namespaces."
        )
    if strange := sorted(
        one.get("path", "") for one in linux.get("devices") or () if one.get("path") not in _DEVICES
    ):
        raise ValueError(f"it wants the devices {', '.join(strange)}; containers have the usual six only.")
    if linux.get("rootfsPropagation") in ("shared", "rshared"):
        raise ValueError("its rootfsPropagation would show its mounts to the host; leave it out.")


def _below(bundle: Path, path: Any, what: str) -> Path:
    found = (bundle / str(path)).resolve()
    if not path or found == bundle or not found.is_relative_to(bundle):
        raise ValueError(f"its {what} {path!r} is not a path within the bundle.")
    if not found.exists():
        raise ValueError(f"its {what} {path!r} does not exist.")
    return found


def _absolute(path: Any, what: str) -> str:
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"its {what} {path!r} is not an absolute path.")
    return path


def _identity(number: Any) -> int:
    if not isinstance(number, int) or not 0 <= number < 65_535:
        raise ValueError(f"it runs as {number!r}; users and groups go from 0 to 65534.")
    return number


def _positive(number: Any) -> int | None:
    return number if isinstance(number, int) and number > 0 else None


def _quota(cpu: Mapping[str, Any]) -> float | None:
    quota, period = _positive(cpu.get("quota")), _positive(cpu.get("period")) or 100_000
    return quota / period if quota else None


def _capabilities(sets: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    wanted = {name for kind in _SETS for name in sets.get(kind) or ()}
    if refused := sorted(wanted - CAPABILITIES):
        raise ValueError(
            f"it asks for {', '.join(refused)}; a container can have {', '.join(sorted(CAPABILITIES))}."
        )
    return {kind: tuple(sets.get(kind) or ()) for kind in _SETS}


def _rlimits(entries: Any) -> dict[str, tuple[int, int]]:
    """Cut to what this agent has: only CAP_SYS_RESOURCE raises a hard limit."""
    found: dict[str, tuple[int, int]] = {}
    for one in entries:
        name = str(one.get("type", ""))
        if name in _PRIORITIES or not hasattr(resource, name):
            raise ValueError(
                f"it sets {name}, which no container may: it takes the processor from the others."
            )
        ceiling = resource.getrlimit(getattr(resource, name))[1]
        ceiling = 2**64 - 1 if ceiling == resource.RLIM_INFINITY else ceiling
        found[name] = (min(int(one["soft"]), ceiling), min(int(one["hard"]), ceiling))
    return found


def _mounts(entries: Any, bundle: Path) -> tuple[tuple[str, ...], tuple[Shown, ...], list[str]]:
    tmpfs: list[str] = []
    binds: list[Shown] = []
    notes: list[str] = []
    for one in entries:
        target, kind = _absolute(one.get("destination"), "mount"), str(one.get("type", ""))
        target = "/" + target.strip("/")
        options = tuple(one.get("options") or ())
        if target in _OURS:
            continue
        if kind in ("cgroup", "cgroup2"):
            notes.append(f"{target} is not mounted: containers do not see control groups")
        elif kind == "tmpfs":
            tmpfs.append(target)
        elif kind in ("bind", "none", "") and {"bind", "rbind"} & {kind, *options}:
            source = _below(bundle, one.get("source", ""), f"bind at {target} from")
            binds.append(Shown(source=str(source), target=target, writable="ro" not in options))
        else:
            raise ValueError(
                f"it mounts {kind or 'nothing'} at {target}; a bundle can mount tmpfs and bind its own files."
            )
    if any(not one.strip("/") for one in (*tmpfs, *(bind.target for bind in binds))):
        raise ValueError("it mounts over the root.")
    return tuple(tmpfs), tuple(binds), notes


def _seccomp(section: Any) -> Profile | None:
    if not section:
        return None
    if section.get("listenerPath"):
        raise ValueError("its seccomp profile asks for a listener, which is not offered.")
    arches = section.get("architectures") or ()
    if arches and f"SCMP_ARCH_{platform.machine().upper()}" not in arches:
        raise ValueError(f"its seccomp profile is for {', '.join(arches)}, not for this machine.")
    return read_profile(section)


def _hooks(section: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    if unknown := sorted(set(section) - set(hooks.STAGES)):
        raise ValueError(f"its hooks are for {', '.join(unknown)}; there are {', '.join(hooks.STAGES)}.")
    return {stage: [hooks.check(one) for one in those] for stage, those in section.items() if those}


def _annotations(section: Mapping[str, Any]) -> dict[str, str]:
    """Those that steer a runtime are not for a bundle to give: crun writes files and skips filters by them."""
    return {str(k): str(v) for k, v in section.items() if not str(k).startswith(_DROPPED_ANNOTATIONS)}


def _notes(process: Mapping[str, Any], linux: Mapping[str, Any], resources: Mapping[str, Any]) -> list[str]:
    notes = [f"linux.{name} is left out" for name in _IGNORED if linux.get(name)]
    others = sorted(set(resources) - {"memory", "cpu", "pids", "devices"})
    notes += [f"linux.resources.{name} is left out" for name in others if resources[name]]
    notes += [
        f"process.{name} is this host's" for name in ("apparmorProfile", "selinuxLabel") if process.get(name)
    ]
    return notes
