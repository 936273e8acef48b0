"""config.json: everything a tenant may do follows from it."""

from __future__ import annotations

import json

import pytest

from runtime.container.bundle import CA_BUNDLE, Mounted, Prepared, environment, render
from runtime.model import ContainerSpec, Limits, NetworkMode, Rootfs

pytestmark = pytest.mark.unit


def spec(**changes: object) -> ContainerSpec:
    values = {
        "id": "a",
        "owner": "o",
        "name": "web.1",
        "rootfs": Rootfs(host=True),
        "argv": ("python3", "app.py"),
    }
    return ContainerSpec(**(values | changes))


PREPARED = Prepared(
    rootfs="/r",
    cgroup="/paas-x/a",
    init="/usr/bin/catatonit",
    uid_start=1_065_536,
    netns="/n/1",
    ceilings={"nofile": 4096},
)


def test_the_process_has_no_privilege() -> None:
    process = render(spec(), PREPARED)["process"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "umask": 0o022}
    assert process["noNewPrivileges"] is True
    assert all(names == [] for names in process["capabilities"].values())
    assert len(process["capabilities"]) == 5
    assert process["args"] == ["/dev/init", "--", "python3", "app.py"]


def test_limits_are_clamped_and_swap_is_off() -> None:
    limits = Limits(memory_bytes=2**26, cpu_shares=256, cpu_cores=0.5, pids=33, nofile=100_000)
    document = render(spec(limits=limits), PREPARED)
    resources = document["linux"]["resources"]
    assert resources["memory"] == {"limit": 2**26, "swap": 2**26}
    assert resources["cpu"] == {"shares": 256, "period": 100_000, "quota": 50_000}
    assert resources["pids"] == {"limit": 33}
    assert resources["devices"] == [{"allow": False, "access": "rwm"}]
    assert document["process"]["rlimits"][0] == {"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096}


def test_what_depends_on_the_cgroup_version() -> None:
    v2 = render(spec(), Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None, cgroup_version=2))
    assert v2["linux"]["resources"]["unified"] == {"memory.oom.group": "1"}
    no_swap = render(spec(), Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None, limits_swap=False))
    assert "swap" not in no_swap["linux"]["resources"]["memory"]
    assert "quota" not in no_swap["linux"]["resources"]["cpu"]


def test_namespaces() -> None:
    linux = render(spec(), PREPARED)["linux"]
    kinds = {namespace["type"]: namespace for namespace in linux["namespaces"]}
    assert set(kinds) == {"pid", "ipc", "uts", "mount", "cgroup", "user", "network"}
    assert kinds["network"]["path"] == "/n/1"
    assert (
        linux["uidMappings"]
        == linux["gidMappings"]
        == [{"containerID": 0, "hostID": 1_065_536, "size": 65_536}]
    )


def test_without_user_namespace_or_network() -> None:
    document = render(
        spec(network=NetworkMode.NONE), Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None)
    )
    kinds = {namespace["type"]: namespace for namespace in document["linux"]["namespaces"]}
    assert "user" not in kinds
    assert "path" not in kinds["network"]
    assert "uidMappings" not in document["linux"]
    assert "/sys" in [mount["destination"] for mount in document["mounts"]]


def test_dev_is_always_a_tmpfs_and_comes_before_what_lies_in_it() -> None:
    mounts = render(spec(), PREPARED)["mounts"]
    places = [mount["destination"] for mount in mounts]
    assert mounts[places.index("/dev")]["type"] == "tmpfs"
    assert places.index("/dev") < places.index("/dev/shm") < places.index("/dev/init")
    assert "/sys/fs/cgroup" not in places
    assert "/sys" not in places  # the root brings the one of its network namespace


def test_binds() -> None:
    binds = (Mounted(source="/s/1", target="/app/in"), Mounted(source="/s/2", target="/cache", writable=True))
    document = render(spec(), Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None, binds=binds))
    options = {mount["destination"]: mount["options"] for mount in document["mounts"]}
    assert options["/app/in"] == ["rbind", "ro", "nosuid", "nodev"]
    assert options["/cache"] == ["rbind", "rw", "nosuid", "nodev"]


def test_environment_defaults_yield_to_the_app() -> None:
    lines = environment(spec(env={"HOME": "/srv", "A": "x=y\nz"}, port=5000), ca_bundle=True)
    assert "HOME=/srv" in lines
    assert "A=x=y\nz" in lines
    assert "PORT=5000" in lines
    assert f"SSL_CERT_FILE={CA_BUNDLE}" in lines
    assert len({line.split("=")[0] for line in lines}) == len(lines)


def test_it_is_json_with_the_filter_as_annotation() -> None:
    prepared = Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None, seccomp_bpf="AAAA")
    document = json.loads(json.dumps(render(spec(), prepared)))
    assert document["annotations"] == {"run.oci.seccomp_bpf_data": "AAAA"}
    assert document["linux"]["seccomp"]["defaultErrnoRet"] == 38
