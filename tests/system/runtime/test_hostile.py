"""More of what a hostile tenant tries: links under volumes, its own init, its neighbours' addresses on the wire."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.container.port import EngineError, VolumeBind
from runtime.model import Rootfs
from tests.system.runtime.conftest import Host
from tests.system.runtime.test_images import build_image

pytestmark = pytest.mark.system
MOUNTS = {
    *("/", "/dev", "/dev/init", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys", "/tmp", "/usr"),
    *("/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"),
    *("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
}
# Says that it has the address of another, in an answer nobody asked for (RFC 826), to all.
ANNOUNCE = """
import socket, struct, sys
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
one.bind(('eth0', 0x0806))
mac = one.getsockname()[4]
address = socket.inet_aton(sys.argv[1])
arp = struct.pack('>HHBBH', 1, 0x0800, 6, 4, 2) + mac + address + b'\\xff' * 6 + address
for _ in range(5): one.send(b'\\xff' * 6 + mac + b'\\x08\\x06' + arp)
"""


def test_a_linked_volume_target_leads_nowhere_on_the_host(host: Host, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    ref, file = build_image(tmp_path, {"marker": "x"}, {"data": str(trap)})
    host.engine.add_image(ref, file)
    volume = VolumeBind(name="v", target="/data", size_bytes=16 * 2**20)
    rootfs = Rootfs(layers=(ref,), host=True)
    # A runtime may refuse it or look for the target within the root; either way the host is not touched.
    with contextlib.suppress(EngineError):
        host.shell("echo x > /data/x", rootfs=rootfs, create={"volumes": (volume,)})
    assert list(trap.iterdir()) == []
    host.engine.remove_volume("app-1", "v")


def test_the_mounts_are_those_that_are_meant(host: Host) -> None:
    ended, output = host.shell("cut -d ' ' -f 5 /proc/self/mountinfo")
    assert ended.code == 0
    masked = {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/scsi"}
    others = {
        path
        for path in output.split()
        if path not in MOUNTS | masked and not re.match(r"/(proc|sys)/|/etc/ssl/", path)
    }
    assert others == set()


def test_its_own_init_cannot_be_stopped_from_inside(host: Host) -> None:
    script = (
        "import os, signal\n"
        "for number in (signal.SIGSTOP, signal.SIGKILL): os.kill(1, number)\n"
        "print(open('/proc/1/stat').read().split(') ')[1][0])\n"
        "while True: signal.pause()"
    )
    container = host.start("/usr/bin/python3", "-u", "-c", script)
    try:
        assert host.engine.wait(container, 1) is None
        host.engine.kill(container, 15)
        ended, output = host.finish(container)
        assert output.strip() in ("S", "R")
        assert ended.signal == 15
    finally:
        host.engine.delete(container)


def test_a_stopped_init_is_killed_all_the_same(host: Host) -> None:
    container = host.start("/bin/sleep", "60")
    try:
        host.engine.kill(container, 19)
        host.engine.kill(container, 9)
        assert host.finish(container)[0].signal == 9
    finally:
        host.engine.delete(container)


def test_an_announced_address_misleads_nobody(host: Host) -> None:
    """Every container has a wire of its own to the host: what it says on it is about nobody else."""
    server = "import socket\ns = socket.create_server(('', 8000))\nwhile 1: s.accept()[0].sendall(b'real')"
    victim = host.start("/usr/bin/python3", "-c", server)
    liar = host.start("/bin/sleep", "60", owner="app-2")
    try:
        seen = {one.id: one for one in host.engine.list()}
        address = seen[victim].address
        ask = f"import socket\nprint(socket.create_connection(('{address}', 8000), 5).recv(9))"
        retry = "import time\nfor _ in range(100):\n    try:\n        {}\n        break\n"
        retry += "    except ConnectionRefusedError: time.sleep(0.05)"
        script = retry.format(ask.replace("\n", "\n        "))
        assert host.python(script)[1] == "b'real'\n"
        inside = ["nsenter", f"--net=/proc/{seen[liar].pid}/ns/net", sys.executable, "-c", ANNOUNCE, address]
        subprocess.run(inside, check=True)
        assert host.python(script)[1] == "b'real'\n"
        neighbours = subprocess.run(["ip", "neigh"], capture_output=True, text=True, check=True).stdout
        assert len([line for line in neighbours.splitlines() if line.startswith(f"{address} ")]) <= 1
    finally:
        host.engine.delete(victim)
        host.engine.delete(liar)
