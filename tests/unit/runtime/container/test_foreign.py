"""What of a foreign config.json counts, what is refused with a reason, what the host's own document keeps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from runtime.container import adapting
from runtime.container.bundle import INIT, Prepared, render
from runtime.container.foreign import read
from runtime.container.port import EngineError
from runtime.container.seccomp import BUILTIN
from runtime.model import ContainerSpec, Limits, Rootfs

pytestmark = pytest.mark.unit

DOCUMENT: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["serve"],
        "cwd": "/srv",
        "env": ["A=b"],
        "user": {"uid": 5, "gid": 6},
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"]},
        "noNewPrivileges": False,
        "oomScoreAdj": -900,
        "apparmorProfile": "unconfined",
    },
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["size=65536k"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": "network"}, {"type": "pid"}],
        "cgroupsPath": "/somewhere/else",
        "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
        "resources": {"memory": {"limit": 2**40}, "cpu": {"shares": 2}, "blockIO": {"weight": 10}},
        "maskedPaths": ["/proc/uptime"],
        "sysctl": {"net.core.somaxconn": "99"},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["getcpu"], "action": "SCMP_ACT_ERRNO"}],
        },
    },
    "annotations": {"run.oci.seccomp_bpf_data": "AAAA", "org.example": "kept"},
}
SPEC = ContainerSpec(
    id="a", owner="o", name="n", rootfs=Rootfs(), argv=(), bundle="/b", limits=Limits(memory_bytes=2**26)
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name in ("rootfs", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "out").symlink_to("/etc")
    return tmp_path


def changed(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place, *names, last = [document, *path.split(".")]
    for name in names:
        place = place[name]
    place[last] = value
    return document


def test_the_hosts_document_with_the_bundles_process(bundle: Path) -> None:
    foreign = read(DOCUMENT, bundle)
    spec = adapting.adapt(SPEC, foreign)
    prepared = Prepared(rootfs="/r", cgroup="/paas-x/a", init="/i", uid_start=1_000_000, oom_score_adj=300)
    document = adapting.apply(render(spec, prepared), spec, foreign)
    process, linux = document["process"], document["linux"]
    assert (process["args"], process["env"], process["cwd"]) == (["serve"], ["A=b"], "/srv")
    assert process["user"] == {"uid": 5, "gid": 6, "umask": 0o022}
    assert (process["noNewPrivileges"], process["oomScoreAdj"]) == (True, 300)
    assert process["capabilities"]["bounding"] == ["CAP_KILL"]
    assert (linux["cgroupsPath"], linux["uidMappings"][0]["hostID"]) == ("/paas-x/a", 1_000_000)
    assert linux["resources"]["memory"]["limit"] == 2**26
    assert linux["resources"]["cpu"]["shares"] == 2
    assert {"/proc/uptime", "/proc/kcore"} <= set(linux["maskedPaths"])
    assert document["root"]["readonly"] is True
    places = [mount["destination"] for mount in document["mounts"]]
    assert "/run" in places
    assert INIT not in places
    assert "/sys/fs/cgroup" not in places
    assert document["annotations"] == {"org.example": "kept"}
    assert spec.sysctls == {"net.core.somaxconn": "99"}
    assert "linux.resources.blockIO is left out" in foreign.notes
    assert "process.apparmorProfile is this host's" in foreign.notes


def test_its_filter_only_narrows_ours(bundle: Path) -> None:
    foreign = read(DOCUMENT, bundle)
    allowed = {rule.name for rule in adapting.profile_of(BUILTIN, foreign).rules if not rule.errno}
    ours = {rule.name for rule in BUILTIN.rules if not rule.errno}
    assert allowed == ours - {"getcpu"}
    assert adapting.profile_of(BUILTIN, None) == BUILTIN


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("ociVersion", "2.0", "ociVersion"),
        ("process", None, "no process"),
        ("process.args", [], "no process"),
        ("process.cwd", "srv", r"process\.cwd"),
        ("process.user", {"uid": 70_000}, "70000"),
        ("process.capabilities", {"effective": ["CAP_SYS_ADMIN"]}, "CAP_SYS_ADMIN"),
        ("process.rlimits", [{"type": "RLIMIT_RTPRIO", "soft": 1, "hard": 1}], "RLIMIT_RTPRIO"),
        ("root.path", "/", "not a path within the bundle"),
        ("root.path", "out", "not a path within the bundle"),
        ("root.path", "none", "does not exist"),
        ("linux.namespaces", [{"type": "pid"}], "share the host's network"),
        ("linux.namespaces", [{"type": "network", "path": "/proc/1/ns/net"}], "network /proc/1/ns/net"),
        ("linux.devices", [{"path": "/dev/mem"}], "/dev/mem"),
        ("linux.rootfsPropagation", "shared", "rootfsPropagation"),
        ("linux.sysctl", {"kernel.core_pattern": "|/x"}, "core_pattern"),
        ("linux.seccomp", {"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/x"}, "listener"),
        (
            "linux.seccomp",
            {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_S390"]},
            "SCMP_ARCH_S390",
        ),
        (
            "mounts",
            [{"destination": "/x", "type": "bind", "source": "/etc", "options": ["bind"]}],
            "within the bundle",
        ),
        (
            "mounts",
            [{"destination": "/x", "type": "bind", "source": "out", "options": ["bind"]}],
            "within the bundle",
        ),
        ("mounts", [{"destination": "/", "type": "tmpfs", "source": "x"}], "over the root"),
        ("mounts", [{"destination": "/x", "type": "ext4", "source": "/dev/vda"}], "ext4"),
        ("hooks", {"later": [{"path": "/x"}]}, "later"),
        ("hooks", {"prestart": [{"path": "x"}]}, "not absolute"),
        ("hooks", {"prestart": [{"path": "/x", "timeout": 0}]}, "timeout"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(
    bundle: Path, path: str, value: object, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        read(changed(path, value), bundle)


def test_a_bundle_says_all_that_it_says_alone() -> None:
    import msgspec

    adapting.check_spec(SPEC)
    for change in ({"argv": ("x",)}, {"env": {"A": "b"}}, {"rootfs": Rootfs(host=True)}, {"bundle": "b"}):
        with pytest.raises(EngineError, match="bundle"):
            adapting.check_spec(msgspec.structs.replace(SPEC, **change))
