"""Registries on a machine that builds reach: Debian's docker-registry, one open, one that asks for a password.

In: a machine outside.  Out: their addresses, and which blobs were fetched. Both hold the same images.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.platform import request, until
from tests.system.runtime.outside import Outside

PORTS = (5000, 5001)
USER, PASSWORD = "builder", "pa55-of-the-registry"
ACCOUNT = f"{USER}:$2b$05$.uH1Rlku8tk4w7uAerVLTe4YYYMIfqpdHesEuWY/HoEtbn1Leep0y\n"  # htpasswd -B
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "{place}"}}
"""
AUTH = "auth: {{htpasswd: {{realm: test, path: {file}}}}}\n"


@dataclass(frozen=True)
class Registries:
    """`open` and `closed` are HOST:PORT, `folder` has their logs."""

    open: str
    closed: str
    folder: Path

    def fetched(self, place: str) -> int:
        """How many blobs were asked for."""
        return (self.folder / place).read_text().count('"GET /v2/team/base/blobs/sha256:')


def registries_of(network: str) -> tuple[str, str]:
    """Return the addresses of the open one and of the closed one."""
    return f"{network}.2:{PORTS[0]}", f"{network}.2:{PORTS[1]}"


@contextmanager
def serve(machine: Outside, folder: Path) -> Iterator[Registries]:
    places = registries_of(machine.first.rpartition(".")[0])
    account = folder / "htpasswd"
    account.write_text(ACCOUNT)
    with ExitStack() as stack:
        for place, auth in zip(places, ("", AUTH.format(file=account)), strict=True):
            stack.enter_context(_one(machine, folder, place, auth))
        yield Registries(*places, folder)


@contextmanager
def _one(machine: Outside, folder: Path, place: str, auth: str) -> Iterator[None]:
    config = folder / f"{place}.yml"
    config.write_text(CONFIG.format(data=folder / "data", place=place) + auth)
    inside = ("nsenter", f"--net=/run/netns/{machine.namespace}")
    with (folder / place).open("wb") as log:
        process = subprocess.Popen([*inside, "docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        until(lambda: _answers(place), 20, f"the registry {place} answers")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _answers(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        return request(int(port), "GET", "/v2/", None, {}, host).status in {200, 401}
    except OSError:
        return False


def auth_file(place: str, password: str) -> str:
    """What `podman login --authfile` writes."""
    basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return json.dumps({"auths": {place: {"auth": basic}}})
