"""Keeps the certificate of this machine fresh.

In: its files and the controller's address.  Out: the next certificate long before the end, by a child process.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from runtime.tls import Credentials

log = logging.getLogger(__name__)
RENEW_AFTER = 2 * 86400.0  # seconds of the seven days that a certificate lasts
LOOK_SECONDS = 600.0
RETRY_SECONDS = 60.0
CHILD_SECONDS = 60.0


async def keep_fresh(base: str, files: Credentials) -> None:
    """Never ends. A failure is told once and tried again: there are days left."""
    told = ""
    while True:
        problem = ""
        if age(files, time.time()) >= RENEW_AFTER:
            problem = await _renew(base, files)
            if problem and problem != told:
                log.warning("the certificate of this machine could not be renewed, trying again: %s", problem)
            if not problem:
                log.info("the certificate of this machine was renewed")
        told = problem
        await asyncio.sleep(RETRY_SECONDS if problem else LOOK_SECONDS)


def age(files: Credentials, now: float) -> float:
    """Return the seconds since the certificate was put in place. A clock set back counts as old: renewing is cheap."""
    passed = now - files.machine.stat().st_mtime
    return passed if passed > -3600 else RENEW_AFTER


async def _renew(base: str, files: Credentials) -> str:
    """Return what went wrong, '' when it is renewed."""
    command = (sys.executable, "-m", "runtime.signing", base, str(files.machine), str(files.authority))
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stderr=pipe)
    except OSError as error:
        return str(error)
    try:
        async with asyncio.timeout(CHILD_SECONDS):
            _, said = await child.communicate()
    except TimeoutError:
        said = b"it takes too long"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return "" if child.returncode == 0 else said.decode("utf-8", "replace").strip().rpartition("\n")[2]
