"""Prebuilt images as a user brings them, and the platform's releases as images for others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import ROOT, Platform
from tests.oci_images import File, Layout, busybox

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
