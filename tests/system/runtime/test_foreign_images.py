"""Images that the platform did not make: as they are, as the user they name, and in the ways of older kernels."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paas.oci.flatten import flatten
from paas.oci.layers import Layer
from runtime.container.port import EngineError
from runtime.images.shifting import Shift
from runtime.model import Account, ImageRef, Limits, Rootfs
from tests.oci_images import File, Layout, busybox, directory
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

TRAP = b"""#!/bin/sh
trap 'echo told; exit 3' QUIT
trap 'echo termed; exit 4' TERM
echo ready
while :; do sleep 0.05; done
"""
FILES = [
    *busybox(),
    directory("app", uid=101),
    File("app/mine", b"m", 0o600, 101, 101),
    File("root/secret", b"s", 0o600),
    File("bin/trap", TRAP, 0o755),
]


@pytest.fixture(scope="module")
def squashfs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, Path]:
    folder = tmp_path_factory.mktemp("image")
    layout = Layout(folder / "layout")
    descriptor, diff_id = layout.layer(FILES)
    digest = descriptor["digest"]
    file = layout.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
    flat = flatten([Layer(file, digest, diff_id)], folder / "image")
    return ImageRef(digest=flat.digest, size=flat.size), flat.file


def put(host: Host, squashfs: tuple[ImageRef, Path], folder: Path) -> Rootfs:
    ref, file = squashfs
    copy = folder / "copy"
    copy.write_bytes(file.read_bytes())
    host.engine.add_image(ref, copy)
    return Rootfs(layers=(ref,))


@pytest.fixture(scope="module", params=["idmapped", "unpacked", "chowned"])
def shifted(
    request: pytest.FixtureRequest, open_host: Callable[..., Host], squashfs: Any, tmp_path_factory: Any
) -> Iterator[tuple[Host, Rootfs]]:
    """A host whose kernel knows one of the three ways only."""
    host = open_host(shift=request.param)
    yield host, put(host, squashfs, tmp_path_factory.mktemp("put"))


LIMITS = Limits(memory_bytes=128 * 1024**2, writable_bytes=32 * 1024**2, pids=64)


def run(host: Host, root: Rootfs, script: str, account: Account, **changes: Any) -> tuple[int | None, str]:
    values: dict[str, Any] = {
        "rootfs": root,
        "account": account,
        "foreign": True,
        "cwd": "/",
        "limits": LIMITS,
    }
    container = host.start("/bin/sh", "-c", script, **(values | changes))
    ended, output = host.finish(container)
    return ended.code, output


ROOT = Account(uid=0, gid=0, capable=True)
WEB = Account(uid=101, gid=101, groups=(55,))


def test_root_has_the_files_and_powers_it_needs(shifted: tuple[Host, Rootfs]) -> None:
    script = "id -u; cat /root/secret; chown 101:101 /root/secret && stat -c %u /root/secret /app/mine; touch /etc/x"
    assert run(*shifted, script, ROOT) == (0, "0\ns101\n101\n")


def test_root_of_a_container_is_nobody_on_the_host(shifted: tuple[Host, Rootfs]) -> None:
    script = "cat /proc/self/uid_map; cat /proc/self/status"
    code, output = run(*shifted, script, ROOT)
    lines = output.splitlines()
    assert code == 0
    assert int(lines[0].split()[1]) >= 1_000_000
    status = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
    assert int(status["CapEff"], 16).bit_count() == 11
    assert int(status["CapBnd"], 16).bit_count() == 11
    assert (int(status["CapAmb"], 16), status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == (
        0,
        "1",
        "2",
    )


def test_a_named_user_has_what_is_its_own_and_no_more(shifted: tuple[Host, Rootfs]) -> None:
    script = "id; cat /app/mine; echo; touch /app/new; cat /root/secret; touch /etc/x; stat -c %u /app/new"
    code, output = run(*shifted, script, WEB)
    assert code == 0
    assert "uid=101(web) gid=101(web) groups=55" in output.replace("groups=101(web),55", "groups=55")
    assert "\nm\n" in output
    assert output.count("Permission denied") == 2
    assert "\n101\n" in output


def test_two_apps_from_one_image_have_ranges_of_their_own(shifted: tuple[Host, Rootfs]) -> None:
    maps = {run(*shifted, "cat /proc/self/uid_map", ROOT, owner=owner)[1] for owner in ("app-1", "app-2")}
    assert len(maps) == 2
    assert run(*shifted, "stat -c %u /app/mine /bin", ROOT, owner="app-2") == (0, "101\n0\n")


def test_slugs_over_the_host_stack_too(shifted: tuple[Host, Rootfs]) -> None:
    host, _ = shifted
    ended, output = host.shell("id -u; touch /app/x && stat -c %u /app/x /etc/passwd")
    assert (ended.code, output) == (0, "1000\n1000\n0\n")


def test_copies_go_with_their_image_and_their_owner(
    open_host: Callable[..., Host], squashfs: Any, tmp_path: Path
) -> None:
    host = open_host(shift="chowned")
    root = put(host, squashfs, tmp_path)
    copies = host.config.home / "copies"
    for owner in ("a", "b"):
        assert run(host, root, "true", ROOT, owner=owner)[0] == 0
    for container in host.engine.list():
        host.engine.delete(container.id)
    assert len(list(copies.iterdir())) == 2
    assert host.engine.forget_owner("a")
    assert len(list(copies.iterdir())) == 1
    host.engine.remove_image(root.layers[0])
    assert list(copies.iterdir()) == []


def test_an_image_is_asked_to_end_in_its_own_way(host: Host, squashfs: Any, tmp_path: Path) -> None:
    root = put(host, squashfs, tmp_path)
    container = host.start(
        "/bin/trap", rootfs=root, account=WEB, foreign=True, cwd="/", stop_signal=3, limits=LIMITS
    )
    deadline = time.monotonic() + 20
    while "ready" not in host.output(container):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    host.engine.kill(container, 15)
    ended, output = host.finish(container)
    assert (ended.code, output) == (3, "ready\ntold\n")


def test_root_needs_a_user_namespace(open_host: Callable[..., Host], squashfs: Any, tmp_path: Path) -> None:
    host = open_host(user_namespaces=False)
    root = put(host, squashfs, tmp_path)
    with pytest.raises(EngineError, match="runs as root"):
        run(host, root, "true", ROOT)
    assert run(host, root, "id -u", WEB) == (0, "101\n")


def test_this_kernel_chooses_for_itself(host: Host) -> None:
    release = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout
    major, minor = (int(part) for part in release.split(".")[:2])
    expected = Shift.IDMAPPED if (major, minor) >= (6, 2) else Shift.UNPACKED
    assert host.engine._parts.lowers.shift is expected
