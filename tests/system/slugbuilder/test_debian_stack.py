"""A Debian stack as the host agent uses it: builds and processes in an overlay of images, as uid 1000."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from paas.slugbuilder.image import build_builder_image
from paas.slugbuilder.squash import BuiltImage
from paas.slugbuilder.stacks import make_stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

# All mounts live in the namespace of one process and go with it. $1 work folder, $2 init, $3… images topmost first.
ENTER = """
set -e
work=$1; init=$2; shift 2
lower=; number=0
while [ "$1" != -- ]; do
  number=$((number + 1)); mkdir -p "$work/layer$number"
  mount -o loop,ro "$1" "$work/layer$number"
  lower=$lower${lower:+:}$work/layer$number
  shift
done
shift
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" "$work/root"
mount -t proc proc "$work/root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$work/root/tmp"
mount --bind "$work/cache" "$work/root/cache"
mount --bind "$work/source.tar" "$work/root/source.tar"
mount --bind /etc/resolv.conf "$work/root/etc/resolv.conf"
for node in null zero urandom; do touch "$work/root/dev/$node"; mount --bind "/dev/$node" "$work/root/dev/$node"; done
touch "$work/root/dev/init"; mount --bind "$init" "$work/root/dev/init"
[ -d "$work/root/app/.paas" ] || chown 1000:1000 "$work/root/app"
exec chroot "$work/root" setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs --bounding-set=-all \\
  --inh-caps=-all "$@"
"""


@pytest.fixture
def work():
    folder = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("upper", "work", "root", "cache"):
        (folder / name).mkdir()
    os.chown(folder / "cache", 1000, 1000)
    (folder / "source.tar").touch()
    yield folder
    shutil.rmtree(folder)


def enter(work, images, argv):
    """The command line that runs argv in an overlay of the images."""
    script = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
        "sh",
        "-c",
        ENTER,
        "sh",
    ]
    return [*script, str(work), "/usr/bin/catatonit", *(str(image.path) for image in images), "--", *argv]


def empty_upper(work):
    for name in ("upper", "work"):
        shutil.rmtree(work / name)
        (work / name).mkdir()


def build(work, builder, stack, env=()):
    argv = ["env", "-i", "PATH=/usr/bin:/bin", *env, "sh", "-c", "/opt/paas/bin/slugbuilder build; code=$?; "
            "cp /tmp/build/result.json /cache/result.json; exit $code"]  # fmt: skip
    images = (builder, stack.build, stack.run)
    done = subprocess.run(enter(work, images, argv), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads((work / "cache" / "result.json").read_text())


def pack(name, work):
    with tarfile.open(work / "source.tar", "w") as tar:
        tar.add(EXAMPLES / name, ".")


def test_the_stack_is_complete_and_made_only_once(debian_13, stack_folder):
    assert debian_13.python_version.startswith("3.13.")
    assert debian_13.node_version.startswith("20.")
    for image in (debian_13.run, debian_13.build):
        assert image.path.stat().st_size == image.size
    assert not (stack_folder / "debian-13" / "making").exists()
    started = time.monotonic()
    assert make_stack("debian-13", stack_folder, print) == debian_13
    assert time.monotonic() - started < 2


def listing(image: BuiltImage) -> str:
    return subprocess.run(
        ["unsquashfs", "-lls", str(image.path)], capture_output=True, text=True, check=True
    ).stdout


def test_images_hold_no_special_files_and_no_identity(debian_13):
    for image in (debian_13.run, debian_13.build):
        lines = listing(image).splitlines()
        assert not [line for line in lines if line[:1] in "bc"]
        assert not [line for line in lines if "/var/lib/apt/lists/" in line or "/var/cache/apt/" in line]
    machine_id = next(
        line for line in listing(debian_13.run).splitlines() if line.endswith("/etc/machine-id")
    )
    assert machine_id.split()[2] == "0"


def test_the_builder_image_is_reproducible(builder, tmp_path):
    again = build_builder_image(tmp_path)
    assert again.digest == builder.digest
    assert again.size < 40 * 1024**2


@pytest.mark.parametrize("name", ["python-web-worker", "node-express", "static-site", "django-release"])
def test_examples_build_and_answer(name, work, builder, debian_13):
    pack(name, work)
    _, cold = build(work, builder, debian_13)
    empty_upper(work)
    output, warm = build(work, builder, debian_13)
    assert warm["stack"] == "debian-13"
    assert warm["timings"]["total"] < max(cold["timings"]["total"], 5)
    if name != "static-site":
        assert "restored from the cache" in output
    assert (warm["files"], warm["size"]) == (cold["files"], cold["size"])

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    env = {"PATH": "/usr/bin:/bin", **warm["config_defaults"], "PORT": str(port), "MEMORY_AVAILABLE": "512"}
    argv = ["env", "-i", *(f"{key}={value}" for key, value in env.items())]
    argv += ["/dev/init", "--", warm["launch"], warm["process_types"]["web"]]
    # the run image alone: no compiler, no npm, no builder
    process = subprocess.Popen(
        enter(work, (debian_13.run,), argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        page = fetch(f"http://127.0.0.1:{port}/", process)
        assert "<html" in page
        stop(process)
    finally:
        process.kill()
        process.communicate()


def fetch(url, process):
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read().decode()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.communicate()[0].decode()) from None
            time.sleep(0.05)


def stop(process):
    """TERM to the container's init, which is what the agent does; the app ends by itself."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    process.wait(20)
