"""The Debian stack of the tests: made once per machine and kept between runs; PAAS_TEST_STACKS names the folder.

In: a Debian mirror, the first time.  Out: its images, or a platform that has it as a second stack.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from paas.slugbuilder.stacks import StackImages, make_stack
from tests.e2e.platform import ROOT, Platform

NAME = "debian-13"
# As the set-up of a platform does it, for a stack that new apps do not get.
ADD = """
from dataclasses import replace
from django.conf import settings
from paas.controller.management.stack_images import ensure_stack
for name in ({name!r}, settings.PAAS.stack):
    ensure_stack(replace(settings.PAAS, stack=name), print)
"""


def folder() -> Path:
    return Path(os.environ.get("PAAS_TEST_STACKS", "/var/tmp/paas-test-stacks"))


def made() -> StackImages:
    return make_stack(NAME, folder(), print)


def add_to(platform: Platform) -> str:
    """Give a running platform the stack; its name."""
    made()
    shutil.copytree(folder() / NAME, platform.home / "stacks" / NAME, copy_function=_linked)
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", ADD.format(name=NAME)],
        cwd=ROOT,
        env=platform.environ,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return NAME


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
