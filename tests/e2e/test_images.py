"""Prebuilt images as a user brings them, and the platform's releases as images for others."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import ROOT, Platform, until
from tests.oci_images import File, Layout, busybox, skopeo

pytestmark = pytest.mark.e2e

# Answers with who it is and what it was told. It ignores $PORT, as many images do.
SERVE = b"""#!/bin/sh
mkdir -p /tmp/www/cgi-bin
page='id -u; echo "$GREETING"; echo "$PORT"; pwd'
printf '#!/bin/sh\\necho "Content-Type: text/plain"; echo; %s' "$page" > /tmp/www/cgi-bin/i
chmod +x /tmp/www/cgi-bin/i
exec httpd -f -v -p 9090 -h /tmp/www
"""


def image(folder: Path, **config: Any) -> Layout:
    layout = Layout(folder)
    files = [
        *busybox(),
        File("bin/serve", SERVE, 0o755),
        File("bin/chmod", link="busybox"),
        File("bin/printf", link="busybox"),
    ]
    values = {
        "Entrypoint": ["/bin/serve"],
        "Cmd": None,
        "ExposedPorts": {"9090/tcp": {}},
        "Env": ["GREETING=hello"],
        "Healthcheck": {"Test": ["CMD-SHELL", "test -x /tmp/www/cgi-bin/i"]},
    }
    layout.image(layout.layer(files), **(values | config))
    return layout


def paas(platform: Platform, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    environ = platform.environ | {
        "PAAS_URL": f"http://127.0.0.1:{platform.port('PAAS_API_PORT')}",
        "PAAS_TOKEN": platform.token,
    }
    return subprocess.run(
        [sys.executable, "-m", "paas.cli.main", *words],
        cwd=ROOT,
        env=environ,
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def test_an_archive_becomes_an_app(platform: Platform, tmp_path: Path) -> None:
    app = platform.create_app()
    archive = image(tmp_path / "layout", WorkingDir="/srv", User="web").archive(tmp_path / "image.tar")
    done = paas(platform, "deploy", "-a", app, "--image", f"oci-archive:{archive}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as user 101, group 101, without capabilities" in done.stdout
    assert "listening on port 9090" in done.stdout
    assert platform.get(app, "/cgi-bin/i").text.split("\n") == [
        "101",
        "hello",
        "9090",
        "/tmp/www/cgi-bin",
        "",
    ]
    ran = paas(platform, "run", "-a", app, "--no-tty", "--", "id -u; pwd; echo $GREETING")
    assert ran.stdout.split() == ["101", "/srv", "hello"], ran.stderr


def test_a_config_var_wins_over_the_image(platform: Platform, tmp_path: Path) -> None:
    app = platform.create_app()
    archive = image(tmp_path / "layout").archive(tmp_path / "image.tar")
    assert paas(platform, "config:set", "-a", app, "GREETING=mine").returncode == 0
    done = paas(platform, "deploy", "-a", app, "--image", f"oci-archive:{archive}")
    assert "as root of its own user namespace, with podman's 11 capabilities" in done.stdout, done.stderr
    assert platform.get(app, "/cgi-bin/i").text.split("\n")[:3] == ["0", "mine", "9090"]


def test_what_is_no_image_is_told_and_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    app = platform.create_app()
    junk = tmp_path / "junk.tar"
    junk.write_bytes(b"no archive")
    done = paas(platform, "deploy", "-a", app, "--image", f"oci-archive:{junk}")
    assert done.returncode == 1
    assert "is no archive of one image" in done.stderr
    trap = Layout(tmp_path / "trap")
    trap.image(trap.layer([File("dev", link="/var/tmp"), File("bin/sh", b"x", 0o755)]))
    done = paas(
        platform, "deploy", "-a", app, "--image", f"oci-archive:{trap.archive(tmp_path / 'trap.tar')}"
    )
    assert "/dev of the image is a symbolic link to '/var/tmp'" in done.stderr
    assert [one["version"] for one in platform.api("GET", f"/apps/{app}/releases").json()] == [1]


def registry(platform: Platform) -> str:
    return f"127.0.0.1:{platform.port('PAAS_API_PORT')}"


def credentials(platform: Platform, side: str) -> tuple[str, ...]:
    return (f"--{side}-tls-verify=false", f"--{side}-creds=anybody:{platform.token}")


def live(platform: Platform, app: str, version: int) -> None:
    def look() -> bool:
        rows = platform.api("GET", f"/apps/{app}/releases").json()
        found = [one for one in rows if one["version"] == version]
        assert not found or found[0]["status"] != "failed", found
        return bool(found) and found[0]["current"] and found[0]["status"] == "succeeded"

    until(look, 60, f"v{version} of {app} is live")


@pytest.fixture(scope="module")
def pushed(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An app deployed by `skopeo copy` to the platform's own registry."""
    app = platform.create_app()
    layout = image(tmp_path_factory.mktemp("pushed") / "layout", User="101:101")
    layout.push(f"{registry(platform)}/{app}/web:1", f"--dest-creds=anybody:{platform.token}")
    live(platform, app, 2)
    return app


def test_a_pushed_image_deploys(platform: Platform, pushed: str) -> None:
    assert platform.get(pushed, "/cgi-bin/i").text.split("\n")[:3] == ["101", "hello", "9090"]
    output = paas(platform, "builds:output", "-a", pushed).stdout
    assert "as user 101, group 101, without capabilities" in output


def test_a_release_is_pulled_by_skopeo_the_same_each_time(
    platform: Platform, pushed: str, tmp_path: Path
) -> None:
    digests = set()
    for tag in ("v2", "latest"):
        source = f"docker://{registry(platform)}/{pushed}:{tag}"
        skopeo("copy", *credentials(platform, "src"), source, f"dir:{tmp_path / tag}")
        digests.add(hashlib.sha256((tmp_path / tag / "manifest.json").read_bytes()).hexdigest())
    assert len(digests) == 1
    listed = skopeo(
        "list-tags", "--tls-verify=false", f"--creds=x:{platform.token}", source.rpartition(":")[0]
    )
    assert json.loads(listed.stdout)["Tags"] == ["latest", "v2"]


# crun 1.8 refuses hybrid cgroups whose v2 side has controllers; in here there is no such side.
ALONE = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec podman "$@"'


def podman(folder: Path, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run podman with storage of its own, in a mount namespace of its own: nothing of it is left."""
    place = (
        "--root",
        str(folder / "root"),
        "--runroot",
        str(folder / "run"),
        "--tmpdir",
        str(folder / "tmp"),
    )
    options = ("--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun")
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ALONE, "podman"]
    command = [*alone, *place, *options, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_a_release_runs_under_podman(platform: Platform, pushed: str, short_folder: Path) -> None:
    name = f"{registry(platform)}/{pushed}:v2"
    pulled = podman(short_folder, "pull", "--tls-verify=false", f"--creds=x:{platform.token}", name)
    assert pulled.returncode == 0, pulled.stderr
    limits = ("--ulimit=nofile=512:512", "--ulimit=nproc=512:512")
    options = (*limits, "--rm", "--network=none", "--cgroups=disabled", "--security-opt=seccomp=unconfined")
    ran = podman(
        short_folder, "run", *options, "-e", "GREETING=there", name, "/bin/sh", "-c", "id -u; echo $GREETING"
    )
    assert ran.stdout.split() == ["101", "there"], ran.stderr


def test_podman_pushes_and_it_deploys(platform: Platform, tmp_path: Path, short_folder: Path) -> None:
    app = platform.create_app()
    archive = image(tmp_path / "layout").archive(tmp_path / "image.tar")
    loaded = podman(short_folder, "pull", f"oci-archive:{archive}")
    assert loaded.returncode == 0, loaded.stderr
    image_id = loaded.stdout.strip()
    target = f"{registry(platform)}/{app}/web:podman"
    done = podman(short_folder, "push", "--tls-verify=false", f"--creds=x:{platform.token}", image_id, target)
    assert done.returncode == 0, done.stderr
    live(platform, app, 2)
    assert platform.get(app, "/cgi-bin/i").text.split("\n")[:2] == ["0", "hello"]


def test_from_the_platforms_own_registry_as_from_any(platform: Platform, pushed: str, tmp_path: Path) -> None:
    app = platform.create_app()
    auth = tmp_path / "auth.json"
    basic = base64.b64encode(f"x:{platform.token}".encode()).decode()
    auth.write_text(json.dumps({"auths": {registry(platform): {"auth": basic}}}))
    words = (
        "deploy",
        "-a",
        app,
        "--image",
        f"docker://{registry(platform)}/{pushed}:v2",
        "--auth-file",
        str(auth),
    )
    auth.chmod(0o644)
    refused = paas(platform, *words)
    assert (refused.returncode, "chmod 600" in refused.stderr) == (2, True)
    auth.chmod(0o600)
    done = paas(platform, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert platform.get(app, "/cgi-bin/i").text.split("\n")[0] == "101"
    assert basic not in platform.logs() + done.stdout


def test_another_process_type_has_an_image_of_its_own(
    platform: Platform, pushed: str, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(layout.layer(busybox()), Cmd=["/bin/sh", "-c", "echo worker says $0; sleep 1000"])
    layout.push(f"{registry(platform)}/{pushed}/worker:1", f"--dest-creds=anybody:{platform.token}")
    live(platform, pushed, 3)
    rows = platform.api("GET", f"/apps/{pushed}/formation").json()
    assert {row["type"]: row["quantity"] for row in rows} == {"web": 1, "worker": 0}
    assert paas(platform, "ps:scale", "worker=1", "-a", pushed).returncode == 0
    until(
        lambda: "worker says" in paas(platform, "logs", "-a", pushed).stdout,
        60,
        "the worker runs its own image",
    )
    assert platform.get(pushed, "/cgi-bin/i").text.split("\n")[0] == "101"
