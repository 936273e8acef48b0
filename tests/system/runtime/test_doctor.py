"""Each kind of leftover, made by hand, is found and repaired; what is in use is never touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.container import membership, process, syscalls
from runtime.container.engine import CrunEngine
from runtime.container.port import VolumeBind
from runtime.images import squashfs
from runtime.images.store import digest_of
from runtime.model import Finding, ImageRef, Rootfs
from runtime.volumes import loop
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

CACHE = VolumeBind(name="cache", target="/cache", size_bytes=2**24)


class Everything:
    """Whatever the engine has is asked for."""

    def __init__(self, engine: CrunEngine, *, without: str = "") -> None:
        self.engine, self.without = engine, without

    def containers(self) -> frozenset[str]:
        return frozenset(one.id for one in self.engine.list()) - {self.without}

    def jobs(self) -> frozenset[str]:
        return frozenset()


class Patient:
    """A host with a container that must come through every repair unharmed."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.home, self.engine = host, host.config.home, host.engine
        source = folder / "source"
        (source / "app").mkdir(parents=True)
        (source / "app" / "file").write_text("from the slug")
        squashfs.pack(source, folder / "slug")
        digest, size = digest_of(folder / "slug")
        self.image = ImageRef(digest=digest, size=size)
        self.engine.add_image(self.image, folder / "slug")
        self.container = host.start(
            "/usr/bin/python3",
            "-m",
            "http.server",
            "--directory",
            "/app",
            "8000",
            rootfs=Rootfs(layers=(self.image,), host=True),
            create={"volumes": (CACHE,), "scratch_bytes": 2**25},
        )
        (self.alive,) = self.engine.list()

    def examine(self, *, repair: bool = False, without: str = "") -> list[Finding]:
        return list(self.engine.examine(Everything(self.engine, without=without), repair=repair).findings)

    def inside(self, function: Callable[..., object], *words: object) -> object:
        return self.engine._mounts.call(function, *words)

    def check_unharmed(self) -> None:
        (now,) = (one for one in self.engine.list() if one.id == self.container)
        assert (now.running, now.pid) == (True, self.alive.pid)
        assert self.engine.read_file(self.container, "/app/file", 99) == b"from the slug"
        fetch = (
            f"import urllib.request as u; print(u.urlopen('http://{now.address}:8000/file').read().decode())"
        )
        exit, output = self.host.python(
            f"import time\nfor n in range(100):\n try:\n  {fetch}\n  break\n except OSError: time.sleep(.1)"
        )
        assert (exit.code, output) == (0, "from the slug\n")


@pytest.fixture(scope="module")
def patient(open_host: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory) -> Patient:
    return Patient(open_host(), tmp_path_factory.mktemp("slug"))


@pytest.fixture(autouse=True)
def unharmed(patient: Patient) -> Iterator[None]:
    assert patient.examine() == []
    yield
    assert patient.examine() == []
    patient.check_unharmed()


def found_and_repaired(patient: Patient, *expected: tuple[str, str]) -> list[Finding]:
    """`expected`: kind and a part of the name of each finding, and there is no other."""
    seen = patient.examine()
    assert sorted(one.kind for one in seen) == sorted(kind for kind, _ in expected), seen
    for kind, part in expected:
        assert any(one.kind == kind and part in one.name for one in seen), (kind, part, seen)
    assert not any(one.repaired for one in seen)
    repaired = patient.examine(repair=True)
    assert all(one.repaired for one in repaired), repaired
    assert {(one.kind, one.name) for one in seen} <= {(one.kind, one.name) for one in repaired}
    return repaired


def test_a_stray_supervisor_with_its_container(patient: Patient) -> None:
    stray = patient.host.start("/bin/sleep", "600")
    record = patient.engine._records[stray]
    del patient.engine._records[stray]  # as if its record had been lost
    (patient.home / "c" / stray).unlink()
    slot = patient.engine._parts.pool.slot(record.slot, record.address)
    patient.engine._parts.pool._live.pop(record.slot)
    found_and_repaired(
        patient,
        ("process", f"conmon {record.conmon_pid}"),
        ("bundle", stray),
        ("runtime state", stray),
        ("cgroup", stray),
        ("mount", f"{stray}/rootfs"),
        ("mount", f"{stray}/rootfs"),
        ("mount", f"{stray}/rootfs"),
        ("mount", f"{stray}/rootfs"),
        ("directory", stray),
        ("namespace", f"/net/{record.slot}"),
        ("directory", f"/net/{record.slot}"),
        ("interface", slot.interface),
        ("firewall", "senders"),
        ("firewall", "owner_of"),
        ("firewall", "members"),
    )
    assert process.start_time(record.pid) != record.pid_started
    assert not any(stray in str(path) for path in (patient.home / "c").iterdir())


def test_a_second_supervisor_of_a_living_container(patient: Patient, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("read line\n")
    bundle = str(patient.engine._layout.bundle(patient.container))
    words = ["conmon", str(script), "-c", patient.container, "-b", bundle]
    with subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE) as second:
        try:
            deadline = time.monotonic() + 10
            while not patient.examine() and time.monotonic() < deadline:
                time.sleep(0.05)  # the shell has to be up before it is anybody's supervisor
            (finding,) = found_and_repaired(patient, ("process", f"conmon {second.pid}"))
            assert "second supervisor" in finding.problem
            assert second.wait(10) in (0, -9)  # 0: collected by the doctor, whose child it is here
        finally:
            second.kill()


def test_a_stale_mount_outside(patient: Patient) -> None:
    place = patient.home / "logs" / "stale"
    place.mkdir()
    syscalls.mount("stale", place, "tmpfs", 0, "size=1m")
    try:
        found_and_repaired(patient, ("mount", str(place)))
        assert not place.is_mount()
    finally:
        with contextlib.suppress(OSError):
            syscalls.umount(place)
        place.rmdir()


def test_a_disk_of_the_operator_is_not_touched(patient: Patient) -> None:
    place = patient.home / "operator"
    place.mkdir()
    syscalls.mount("operator", place, "tmpfs", 0, "size=1m")
    try:
        assert patient.examine(repair=True) == []
        assert place.is_mount()
    finally:
        syscalls.umount(place)
        place.rmdir()


def test_a_stale_mount_inside(patient: Patient) -> None:
    place = patient.engine._layout.run / "c" / "gone"

    def make() -> None:
        (place / "rootfs").mkdir(parents=True)
        syscalls.mount("stale", place / "rootfs", "tmpfs", 0, "size=1m")

    patient.inside(make)
    found_and_repaired(patient, ("mount", "gone/rootfs"), ("directory", "c/gone"))
    assert not patient.inside(place.exists)


def test_an_orphaned_interface(patient: Patient) -> None:
    name = f"{patient.engine._parts.names.veth}zzz"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    found_and_repaired(patient, ("interface", name), ("interface", f"{name}p"))


def test_a_neighbours_interface_is_not_touched(patient: Patient) -> None:
    name = f"w{patient.engine._parts.names.veth[1:]}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    try:
        assert patient.examine(repair=True) == []
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_an_orphaned_network_namespace(patient: Patient) -> None:
    slot = patient.inside(patient.engine._parts.pool._make)
    patient.engine._parts.pool._live.pop(slot.number)
    found_and_repaired(
        patient,
        ("namespace", f"/net/{slot.number}"),
        ("directory", f"/net/{slot.number}"),
        ("interface", slot.interface),
    )


def test_an_unused_loop_device(patient: Patient, tmp_path: Path) -> None:
    file = patient.home / "scratch" / "gone.ext4"
    loop.make_ext4(file, 2**24, 0, journal=False)
    other = tmp_path / "other"
    shutil.copy(file, other)
    device, foreign = (
        subprocess.run(
            ["losetup", "-f", "--show", str(one)], capture_output=True, text=True, check=True
        ).stdout.strip()
        for one in (file, other)
    )
    try:
        found_and_repaired(patient, ("loop device", device), ("file", "gone.ext4"))
        assert not Path("/sys/block", Path(device).name, "loop").exists()
        assert Path("/sys/block", Path(foreign).name, "loop").exists()
    finally:
        subprocess.run(["losetup", "-d", foreign], check=True)


def test_a_forgotten_control_group_with_a_process(patient: Patient) -> None:
    roots = [
        path.parent
        for path in Path("/sys/fs/cgroup").glob(f"**/paas-{patient.host.config.tag}/{patient.container}")
    ]
    child = subprocess.Popen(["/bin/sleep", "600"])
    try:
        for root in roots:
            (root / "gone").mkdir()
            if root.parent.name in ("memory", "pids", "cgroup"):  # cpuset takes none before it has CPUs
                (root / "gone" / "cgroup.procs").write_text(str(child.pid))
        (finding,) = patient.examine()
        assert "holds 1 processes" in finding.problem
        found_and_repaired(patient, ("cgroup", "/gone"))
        assert child.wait(10) in (0, -9)
        assert not any((root / "gone").exists() for root in roots)
    finally:
        child.kill()
        child.wait()
        for root in roots:
            with contextlib.suppress(FileNotFoundError):
                (root / "gone").rmdir()
        for root in roots:
            with contextlib.suppress(FileNotFoundError):
                (root / "gone").rmdir()


def test_firewall_elements_of_nobody_and_one_that_is_missing(patient: Patient) -> None:
    parts, member = (
        patient.engine._parts,
        membership.member_of(patient.engine._parts, patient.engine._records[patient.container]),
    )
    table = f"inet {parts.names.table}"
    prefix = patient.alive.address.rpartition(".")[0]
    parts.firewall.run(f'add element {table} senders {{ "{parts.names.veth}qq" . {prefix}.61 }}')
    parts.firewall.run(f"add element {table} members {{ 77 . {prefix}.61 }}")
    parts.firewall.run(f"add element {table} owner_of {{ {prefix}.61 : 77 }}")
    parts.firewall.run(f'delete element {table} senders {{ "{member.interface}" . {member.address} }}')
    found_and_repaired(
        patient,
        ("firewall", "senders"),
        ("firewall", "owner_of"),
        ("firewall", "members"),
        ("firewall", member.address),
    )


def test_half_and_damaged_images(patient: Patient, tmp_path: Path) -> None:
    store = patient.home / "images" / "sha256"
    good = patient.engine.image_file(patient.image)
    (store / f".{'a' * 64}.123").write_bytes(good.read_bytes()[:200])
    (store / ("b" * 64)).write_bytes(good.read_bytes()[:90])
    (store / ("c" * 64)).write_bytes(b"<html>")
    found_and_repaired(patient, ("image", "aaa"), ("image", "bbb"), ("image", "ccc"))
    assert [path for path in store.iterdir()] == [good]


def test_files_of_nobody(patient: Patient) -> None:
    (patient.home / "exits" / "gone").write_text("0")
    (patient.home / "oci" / "gone").mkdir()
    old = patient.home / "logs" / "gone.log"
    old.write_text("x")
    os.utime(old, (1, 1))
    young = patient.home / "logs" / "young.log"
    young.write_text("x")
    found_and_repaired(patient, ("exit file", "gone"), ("runtime state", "gone"), ("log", "gone.log"))
    assert young.exists()
    young.unlink()


def test_volumes_of_nobody_are_put_aside_not_deleted(patient: Patient) -> None:
    place = patient.home / "volumes" / "9999424"
    place.mkdir()
    (place / "data.ext4").write_text("somebody's data")
    found_and_repaired(patient, ("volume", "9999424"))
    (kept,) = (patient.home / "volumes").glob("lost-9999424-*")
    assert (kept / "data.ext4").read_text() == "somebody's data"
    shutil.rmtree(kept)


def test_a_container_that_nobody_asked_for_is_told(patient: Patient) -> None:
    (finding,) = patient.examine(without=patient.container)
    assert (finding.kind, finding.name) == ("container", patient.container)


def test_a_busy_host_has_no_leftovers(patient: Patient) -> None:
    """What is only on its way in or out is never taken for a leftover."""

    def cycle(number: int) -> None:
        for turn in range(6):
            host = patient.host
            name = f"busy{number}x{turn}"
            assert host.run("/bin/true", id=name, owner=f"app-{number}")[0].code == 0

    deadline = time.monotonic() + 600
    with ThreadPoolExecutor(4) as workers:
        cycles = [workers.submit(cycle, number) for number in range(4)]
        while not all(one.done() for one in cycles):
            assert time.monotonic() < deadline
            assert patient.examine(repair=True) == []
        for one in cycles:
            one.result()
