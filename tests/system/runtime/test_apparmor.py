"""The AppArmor profile is one: Debian's parser compiles it, and where the kernel has AppArmor it is enforced."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from runtime.container import apparmor
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system


def test_the_parser_compiles_the_profile() -> None:
    command = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--warn=all", "--stdout"]
    text = apparmor.render("p1")
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"paas-p1" in done.stdout
    broken = subprocess.run(
        command, input=text.replace("deny mount,", "deny mont,").encode(), capture_output=True, check=False
    )
    assert broken.returncode != 0


def test_containers_run_under_it_where_the_kernel_has_it(open_host: Callable[..., Host]) -> None:
    host = open_host()
    ended, output = host.shell("cat /proc/self/attr/current 2>/dev/null; echo")
    assert ended.code == 0
    expected = f"{apparmor.name_of(host.config.tag)} (enforce)" if apparmor.is_enabled() else ""
    assert output.strip("\0\n ") == expected
