"""config.json of a container, by the OCI runtime spec 1.0.

In: a `ContainerSpec` and what the engine prepared for it (`Prepared`).  Out: the document crun reads; nothing else
decides what a tenant may do.
"""

from __future__ import annotations

from typing import Any

from runtime.container import seccomp, ulimits
from runtime.container.owners import WIDTH
from runtime.container.syscall_rules import Profile
from runtime.model import Account, ContainerSpec, Limits, Struct

INIT = "/dev/init"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/config.gz",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# What podman 4 gives (containers-common's default_capabilities): Docker's without MKNOD, NET_RAW, AUDIT_WRITE.
CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_DENY_ALL_DEVICES = {"allow": False, "access": "rwm"}  # absent would mean: no rule at all


class Mounted(Struct):
    """A host path, reachable by the container's root, shown at `target`."""

    source: str
    target: str
    writable: bool = False


class Prepared(Struct):
    """What the engine has made ready: `uid_start` None means no user namespace, `netns` '' a fresh, empty one."""

    rootfs: str
    cgroup: str
    init: str
    uid_start: int | None
    netns: str = ""
    binds: tuple[Mounted, ...] = ()
    ceilings: dict[str, int] = {}  # the agent's own hard limits, see `ulimits`
    oom_score_adj: int = 0
    cgroup_version: int = 1
    limits_swap: bool = True
    ca_bundle: bool = False
    profile: Profile = seccomp.BUILTIN
    seccomp_bpf: str = ""
    apparmor: str = ""  # the profile's name, '' where the kernel has none
    hostname: str = ""


def render(spec: ContainerSpec, prepared: Prepared) -> dict[str, Any]:
    """Return config.json."""
    document: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(spec, prepared),
        "root": {"path": prepared.rootfs, "readonly": spec.readonly},
        "hostname": prepared.hostname,
        "mounts": _mounts(prepared),
        "linux": _linux(spec, prepared),
    }
    if prepared.seccomp_bpf:
        document["annotations"] = {"run.oci.seccomp_bpf_data": prepared.seccomp_bpf}
    return document


def environment(spec: ContainerSpec, *, ca_bundle: bool) -> list[str]:
    """Return `NAME=value` lines: defaults first, then the app's own, which win."""
    values = {"PATH": PATH, "HOME": "/app", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    if ca_bundle:
        values["SSL_CERT_FILE"] = CA_BUNDLE
    if spec.port is not None:
        values["PORT"] = str(spec.port)
    values.update(spec.env)
    return [f"{name}={value}" for name, value in values.items()]


def _process(spec: ContainerSpec, prepared: Prepared) -> dict[str, Any]:
    profile = {"apparmorProfile": prepared.apparmor} if prepared.apparmor else {}
    return profile | {
        "terminal": spec.tty,
        "user": _user(spec.account),
        "args": [INIT, "--", *spec.argv],
        "env": environment(spec, ca_bundle=prepared.ca_bundle),
        "cwd": spec.cwd,
        "capabilities": _capabilities(spec.account),
        "noNewPrivileges": True,
        "oomScoreAdj": prepared.oom_score_adj,
        "rlimits": [
            {"type": ulimits.constant(name), "hard": _limit(hard), "soft": _limit(soft)}
            for name, (soft, hard) in ulimits.effective(spec, prepared.ceilings).items()
        ],
    }


def _user(account: Account) -> dict[str, Any]:
    user = {"uid": account.uid, "gid": account.gid, "umask": 0o022}
    return {**user, "additionalGids": list(account.groups)} if account.groups else user


def _capabilities(account: Account) -> dict[str, list[str]]:
    """Return all five sets. Ambient and inheritable stay empty: a program that gives up root has none left."""
    held = list(CAPABILITIES) if account.capable else []
    empty: list[str] = []
    return {"bounding": held, "effective": held, "permitted": held, "inheritable": empty, "ambient": empty}


def _limit(value: int) -> int:
    """The runtime reads RLIM_INFINITY as an unsigned number."""
    return value if value >= 0 else 2**64 - 1


def _mounts(prepared: Prepared) -> list[dict[str, Any]]:
    mounts = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", "size=64k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"
        ),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=64m"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    ]
    if not prepared.netns:  # else the root already has the /sys of that network namespace
        mounts.append(_mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"))
    mounts.append(_mount(INIT, "bind", prepared.init, "bind", "ro", "nosuid", "nodev"))
    mounts += [_bind(bind) for bind in prepared.binds]
    return mounts


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _bind(bind: Mounted) -> dict[str, Any]:
    access = "rw" if bind.writable else "ro"
    return _mount(bind.target, "bind", bind.source, "rbind", access, "nosuid", "nodev")


def _linux(spec: ContainerSpec, prepared: Prepared) -> dict[str, Any]:
    linux: dict[str, Any] = {
        "cgroupsPath": prepared.cgroup,
        "namespaces": _namespaces(spec, prepared),
        "resources": _resources(spec.limits, prepared),
        "seccomp": seccomp.describe(prepared.profile),
        "maskedPaths": list(_MASKED),
        "readonlyPaths": list(_READONLY),
    }
    if prepared.uid_start is not None:
        mapping = [{"containerID": 0, "hostID": prepared.uid_start, "size": WIDTH}]
        linux["uidMappings"] = linux["gidMappings"] = mapping
    return linux


def _namespaces(spec: ContainerSpec, prepared: Prepared) -> list[dict[str, str]]:
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")]
    if prepared.uid_start is not None:
        namespaces.append({"type": "user"})
    network = {"type": "network"}
    if prepared.netns:
        network["path"] = prepared.netns
    return [*namespaces, network]


def _resources(limits: Limits, prepared: Prepared) -> dict[str, Any]:
    cpu: dict[str, int] = {"shares": limits.cpu_shares}
    if limits.cpu_cores is not None:
        cpu |= {"period": 100_000, "quota": max(1000, int(limits.cpu_cores * 100_000))}
    memory = {"limit": limits.memory_bytes}
    if prepared.limits_swap:
        memory["swap"] = limits.memory_bytes  # memory and swap together: no swap
    resources: dict[str, Any] = {
        "devices": [_DENY_ALL_DEVICES],
        "memory": memory,
        "pids": {"limit": limits.pids},
        "cpu": cpu,
    }
    if prepared.cgroup_version == 2:
        resources["unified"] = {"memory.oom.group": "1"}
    return resources
