"""Containers in which images are built: what they can do beyond others, and what they still cannot."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paas.oci.folders import adopt_folders
from paas.oci.layout import Blobs
from paas.slugbuilder.dockerfile.plan import Orders, Target, dump_orders
from paas.slugbuilder.image import build_builder_image
from paas.slugbuilder.squash import pack
from runtime.container.port import Bind, EngineError, VolumeBind
from runtime.model import IMAGE_BUILD, Account, ImageRef, Limits, NetworkMode, Rootfs
from tests.oci_images import Layout, busybox
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

ROOT = Account(uid=0, gid=0, capable=True)
LIMITS = Limits(memory_bytes=512 * 1024**2, pids=256)
BUILD: dict[str, Any] = {
    "account": ROOT,
    "seccomp": IMAGE_BUILD,
    "network": NetworkMode.BUILD,
    "limits": LIMITS,
}
SYSTEM = """FROM scratch AS system
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""


@pytest.fixture(scope="module")
def host(open_host: Callable[..., Host]) -> Host:
    return open_host()


@pytest.fixture(scope="module")
def builder(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Rootfs:
    image = build_builder_image(tmp_path_factory.mktemp("builder"))
    copy = tmp_path_factory.mktemp("put") / "copy"
    shutil.copy(image.path, copy)
    ref = ImageRef(digest=image.digest, size=image.size)
    host.engine.add_image(ref, copy)
    return Rootfs(layers=(ref,), host=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An image in an archive, and the squashfs of a stack."""
    folder = tmp_path_factory.mktemp("base")
    layout = Layout(folder / "layout")
    layout.image(layout.layer(busybox()), Env=["BASE=archive"])
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    (root / "bin" / "sh").symlink_to("busybox")
    (root / "mine").touch()
    os.chown(root / "mine", 33, 33)
    return layout.archive(folder / "base.tar"), pack(root, folder / "stack").path


def source_tar(folder: Path, files: dict[str, bytes]) -> Path:
    file = folder / "source.tar"
    with tarfile.open(file, "w") as archive:
        for name, data in {**files, "busybox": Path("/bin/busybox").read_bytes()}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return file


def build(
    host: Host,
    builder: Rootfs,
    folder: Path,
    dockerfile: str,
    *,
    files: dict[str, bytes] | None = None,
    binds: tuple[Bind, ...] = (),
    variables: dict[str, str] | None = None,
    **orders: Any,
) -> tuple[int | None, str, Blobs, dict[int, str]]:
    """Build one Dockerfile as the platform does. Returns exit code, output, and what was made."""
    source = source_tar(folder, {"Dockerfile": dockerfile.encode(), **(files or {})})
    argv = ("python3", "-m", "slugbuilder", "build", "--stack", "host", "--result", "/tmp/build/result.json")
    ordered = Orders((Target(),), **orders)
    env = {
        "PATH": "/opt/paas/bin:/usr/bin:/bin",
        "PYTHONPATH": "/opt/paas",
        "HOME": "/app",
        "WORD": "s3cret-of-mine",
    }
    env |= variables or {}
    container = host.start(
        *argv,
        f"--images={dump_orders(ordered)}",
        create={
            "binds": (Bind(source=str(source), target="/source.tar"), *binds),
            "scratch_bytes": 1024**3,
            "volumes": (VolumeBind(name="one", target="/cache", size_bytes=1024**3),),
        },
        **{**BUILD, "rootfs": builder, "env": env},
    )
    blobs, made = Blobs(folder / "blobs"), dict[int, str]()
    try:
        ended, output = host.finish(container)
        if ended.code == 0:
            host.engine.export(container, "/app/out", folder / "out.squashfs")
            made = adopt_folders(folder / "out.squashfs", blobs)
    finally:
        host.engine.delete(container)
    return ended.code, output, blobs, made


def test_an_image_comes_out_and_layers_are_taken_from_the_cache(
    host: Host, builder: Rootfs, tmp_path: Path
) -> None:
    text = SYSTEM + 'RUN echo one > /one && chown 33:33 /one\nHEALTHCHECK CMD true\nCMD ["sh"]\n'
    code, output, blobs, made = build(host, builder, tmp_path, text)
    assert code == 0, output
    image = blobs.image(made[0])
    assert image.config.container.cmd == ("sh",)
    assert image.config.container.healthcheck is not None
    code, output, _, again = build(host, builder, tmp_path, text)
    assert (code, output.count("Using cache")) == (0, 5), output
    assert again == made


def test_a_secret_is_shown_to_its_step_and_kept_nowhere(host: Host, builder: Rootfs, tmp_path: Path) -> None:
    step = "RUN --mount=type=secret,id=WORD wc -c < /run/secrets/WORD > /length && ! env | grep s3cret\n"
    code, output, blobs, made = build(host, builder, tmp_path, SYSTEM + step + 'CMD ["sh"]\n')
    assert code == 0, output
    kept = b"".join(file.read_bytes() for file in (blobs.folder / "sha256").iterdir())
    assert b"14\n" in kept
    assert b"s3cret-of-mine" not in kept + output.encode()
    assert made


def test_base_images_are_archives_and_stacks(
    host: Host, builder: Rootfs, base: tuple[Path, Path], tmp_path: Path
) -> None:
    archive, stack = base
    digest = "5" * 64
    text = (
        "FROM oci-archive:base.tar AS one\nRUN echo $BASE > /told && ! env | grep AUTH\n"
        "FROM paas/debian-13\nCOPY --from=one /told /told\nRUN busybox stat -c '%u %g' /mine && busybox cat /told\n"
    )
    code, output, blobs, made = build(
        host, builder, tmp_path, text, files={"base.tar": archive.read_bytes()},
        binds=(Bind(source=str(stack), target=f"/stacks/{digest}"),), stacks={"debian-13": [f"sha256:{digest}"]},
        variables={"PAAS_REGISTRY_AUTH": '{"auths": {}}'},
    )  # fmt: skip
    assert code == 0, output
    assert "33 33" in output
    assert "archive\n" in output
    assert blobs.image(made[0]).config.container.cmd == ("/bin/sh",)


def test_a_registry_that_does_not_answer_and_credentials_that_are_none(
    host: Host, builder: Rootfs, tmp_path: Path
) -> None:
    code, output, _, _ = build(host, builder, tmp_path, "FROM registry.invalid/base:1\n")
    assert code == 1
    assert "or are a stack: FROM paas/debian-13" in output
    code, output, _, _ = build(host, builder, tmp_path, SYSTEM, variables={"PAAS_REGISTRY_AUTH": "x"})
    assert code == 1
    assert "PAAS_REGISTRY_AUTH is not what" in output


def test_the_line_that_fails_is_told(host: Host, builder: Rootfs, tmp_path: Path) -> None:
    code, output, _, _ = build(host, builder, tmp_path, SYSTEM + "\nRUN true && \\\n  exit 9\n")
    assert code == 1
    assert "Dockerfile, line 5: `RUN true && exit 9` ended with the exit code 9." in output


def test_steps_do_not_reach_the_builder(host: Host, builder: Rootfs, tmp_path: Path) -> None:
    """Neither its environment, nor its files, nor its root."""
    probe = (
        "RUN for p in /proc/[0-9]*; do cat $p/environ 2>/dev/null; ls $p/root/app 2>/dev/null; done "
        "| grep -c s3cret; ls /app /cache /opt/paas 2>/dev/null | wc -l; exit 0\n"
    )
    code, output, _, _ = build(host, builder, tmp_path, SYSTEM + probe + 'CMD ["sh"]\n')
    assert code == 0, output
    assert "       0\n       0\n" in output


PROBE = r"""
import ctypes, json, os, sys
from pathlib import Path
sys.path.insert(0, "/opt/paas")
from slugbuilder.dockerfile import namespaces
libc = ctypes.CDLL(None, use_errno=True)
got = {}

def call(name, result):
    if result != -1:
        got[name] = result

def attempt(name, do):
    try:
        do()
        got[name] = "done"
    except OSError:
        pass

def mount(name, source, target, kind, flags=0, data=None):
    os.makedirs(target, exist_ok=True)
    call(name, libc.mount(source.encode(), target.encode(), kind.encode(), flags, data))

status = [line.split(":") for line in open("/proc/self/status")]
before = {name: value.strip() for name, value in status if name in ("CapEff", "CapBnd")}
mount("mount above", "none", "/tmp/above", "tmpfs")
attempt("host name above", lambda: os.uname() and libc.sethostname(b"x", 1) == 0 or (_ for _ in ()).throw(OSError))
namespaces.enter()
mount("own memory", "none", "/tmp/own", "tmpfs")
mount("fresh proc", "proc", "/tmp/proc", "proc")
mount("fresh sysfs", "sysfs", "/tmp/sys", "sysfs")
mount("ext4", "/dev/vda", "/tmp/disk", "ext4")
mount("device nodes", "devtmpfs", "/tmp/dev", "devtmpfs")
mount("debugfs", "debugfs", "/tmp/debug", "debugfs")
mount("bpf", "bpf", "/tmp/bpf", "bpf")
for path in ("/proc/kcore", "/proc/keys", "/proc/sys", "/sys/firmware", "/dev/null"):
    call("uncover " + path, libc.umount2(path.encode(), 2))
call("writable /proc/sys", libc.mount(b"/proc/sys", b"/proc/sys", None, 4096 | 32, None))
attempt("block device", lambda: os.mknod("/tmp/own/disk", 0o60600, os.makedev(254, 0)))
attempt("kernel setting", lambda: Path("/proc/sys/kernel/core_pattern").write_text("|/bin/x"))
attempt("trigger", lambda: Path("/proc/sysrq-trigger").write_text("h"))
attempt("higher priority", lambda: os.nice(-1))
attempt("clock", lambda: __import__("time").clock_settime(0, 1))
calls = {
    "bpf": (321, 0, 0, 0), "keyctl": (250, 0, -3, 0), "perf": (298, 0, 0, -1, -1, 0), "setns": (308, 0, 0),
    "ptrace": (101, 0, 0, 0, 0), "io_uring": (425, 1, 0), "userfaultfd": (323, 0), "init_module": (175, 0, 0, 0),
    "kexec": (246, 0, 0, 0, 0), "by handle": (304, -1, 0, 0), "fsopen": (430, 0, 0), "open_tree": (428, -100, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
}
for name, (number, *words) in calls.items():
    call(name, libc.syscall(number, *words))
links = sorted(os.listdir("/sys/class/net"))
seen = [name for name in os.listdir("/proc") if name.isdigit()]
print(json.dumps({"got": got, "before": before, "links": links, "processes": len(seen)}))
"""


def test_its_root_gets_nothing_of_the_host(host: Host, builder: Rootfs) -> None:
    """It may mount memory of its own, in a namespace of its own; nothing else that it tries goes through."""
    ended, output = host.python(PROBE, **{**BUILD, "rootfs": builder})
    assert ended.code == 0, output
    found = json.loads(output.splitlines()[-1])
    assert found["got"] == {"own memory": 0}
    assert found["before"] == {"CapEff": "00000000800405fb", "CapBnd": "00000000800405fb"}
    assert found["links"] == ["eth0", "lo"]
    assert found["processes"] <= 4


def test_no_app_gets_the_profile(host: Host) -> None:
    with pytest.raises(EngineError, match="is for builds"):
        host.engine.create(host.spec("true", **{**BUILD, "network": NetworkMode.APP}))
