"""What the engine keeps: images and volumes are told in use or not, and owners give their range back."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.container.port import VolumeBind
from runtime.images import squashfs
from runtime.images.store import digest_of
from runtime.model import ImageRef, Limits, Rootfs
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

CACHE = VolumeBind(name="cache", target="/cache", size_bytes=2**24)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make_image(host: Host, folder: Path, text: str) -> ImageRef:
    source = folder / "source"
    (source / "app").mkdir(parents=True, exist_ok=True)
    (source / "app" / "file").write_text(text)
    squashfs.pack(source, folder / "slug")
    digest, size = digest_of(folder / "slug")
    ref = ImageRef(digest=digest, size=size)
    host.engine.add_image(ref, folder / "slug")
    return ref


def test_an_image_is_in_use_while_its_container_exists(
    open_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = open_host()
    ref = make_image(host, tmp_path, "hello")
    os.utime(host.engine.image_file(ref), (1, 1))
    (before,) = host.engine.stored_images()
    assert (before.digest, before.in_use, before.used_at) == (ref.digest, False, 1)
    container = host.start("/bin/cat", "/app/file", rootfs=Rootfs(layers=(ref,), host=True))
    (during,) = host.engine.stored_images()
    assert during.in_use and during.used_at > 1
    assert host.finish(container)[1] == "hello"
    host.engine.delete(container)
    assert not host.engine.stored_images()[0].in_use
    host.engine.remove_image(ref)
    host.engine.remove_image(ref)
    assert host.engine.stored_images() == ()


def test_what_a_container_uses_is_counted(open_host: Callable[..., Host]) -> None:
    host = open_host()
    limits = Limits(memory_bytes=128 * 2**20, writable_bytes=32 * 2**20, cpu_cores=0.2, pids=64)
    script = """
import http.client, os, threading, time
from http.server import HTTPServer, BaseHTTPRequestHandler
open('/app/file', 'wb').write(b'x' * 2**20)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'y' * 300_000)
server = HTTPServer(('', 8000), Handler)
threading.Thread(target=server.handle_request).start()
print('ready', flush=True)
end = time.monotonic() + 1
while time.monotonic() < end: pass
time.sleep(60)
"""
    container = host.start("/usr/bin/python3", "-c", script, limits=limits)
    eventually(lambda: "ready" in host.output(container))
    address = host.engine.list()[0].address
    with urllib.request.urlopen(f"http://{address}:8000/", timeout=20) as response:
        assert len(response.read()) == 300_000
    eventually(lambda: host.engine.usage(container).cpu_seconds > 0.2)
    usage = host.engine.usage(container)
    assert usage.network_sent_bytes > 300_000 and 0 < usage.network_received_bytes < 300_000
    assert 2**20 <= usage.disk_used_bytes < 4 * 2**20 and usage.disk_limit_bytes == 32 * 2**20
    assert usage.cpu_throttled_seconds > 0 and 0 < usage.cpu_throttled_periods <= usage.cpu_periods
    assert usage.memory_peak_bytes >= usage.memory_bytes > 2**20
    assert usage.pids >= 2
    host.engine.delete(container)
    assert host.engine.usage(container) is None


def test_a_volume_in_use_stays_and_its_owner_too(open_host: Callable[..., Host]) -> None:
    host = open_host()
    container = host.start("/bin/sleep", "60", create={"volumes": (CACHE,)}, owner="gone")
    (volume,) = host.engine.stored_volumes()
    assert (volume.owner, volume.name, volume.in_use) == ("gone", "cache", True)
    assert 0 < volume.disk_bytes < CACHE.size_bytes
    assert not host.engine.remove_volume("gone", "cache")
    assert not host.engine.forget_owner("gone")
    host.engine.delete(container)
    assert not host.engine.forget_owner("gone")  # its volume is still filed under its range
    assert host.engine.remove_volume("gone", "cache")
    assert host.engine.stored_volumes() == ()
    assert host.engine.forget_owner("gone")
    assert host.engine.owners() == ()
    assert host.run("/bin/true", owner="next")[0].code == 0
    assert host.engine.owners() == ("next",)
