"""Volumes: a limit that holds, one writer, what is in them outlives containers, engines and hosts."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.container.port import EngineError
from runtime.images.store import digest_of
from runtime.model import ImageRef, Rootfs, VolumeMount, VolumeSpec
from runtime.volumes import loop
from runtime.volumes.errors import VolumeBusy, VolumeDamaged, VolumeExists, VolumeInvalid, VolumeMissing
from tests.system.runtime.conftest import HOST, Host

pytestmark = pytest.mark.system

MIB = 1024**2
SLEEP = ("/bin/sleep", "600")


def make(host: Host, name: str, size: int = 32 * MIB, owner: str = "app-1") -> str:
    return host.engine.keeper().create(VolumeSpec(id=f"v-{name}", owner=owner, name=name, size_bytes=size)).id


def mounted(name: str, target: str = "/data", *, read_only: bool = False) -> tuple[VolumeMount, ...]:
    return (VolumeMount(name=name, target=target, read_only=read_only),)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def disk_of(host: Host, volume: str) -> Path:
    return host.config.home / "data" / volume / "disk.ext4"


def test_data_outlives_its_container_and_is_removed_for_good(host: Host) -> None:
    volume = make(host, "kept")
    host.shell("echo first >/data/file; mkdir /data/d; chmod 700 /data/d", volumes=mounted("kept"))
    said = host.shell("cat /data/file; stat -c '%u %g %a' /data/d; ls -A /data", volumes=mounted("kept"))[1]
    assert said.split("\n")[:2] == ["first", "1000 1000 700"]
    assert said.split()[4:] == ["d", "file"]  # nothing of the file system's own
    container = host.start(*SLEEP, volumes=mounted("kept"))
    with pytest.raises(VolumeBusy, match=rf"web\.\d+ \({container}\)"):
        host.engine.keeper().remove(volume)
    host.engine.delete(container)
    host.engine.keeper().remove(volume)
    host.engine.keeper().remove(volume)
    assert not disk_of(host, volume).parent.exists()
    assert not list((host.config.home / "data").glob(f"*{volume}*"))
    with pytest.raises(VolumeMissing, match="never replaced by an empty one"):
        host.shell("true", volumes=mounted("kept"))


def test_byte_100_mb_plus_1_is_refused(host: Host) -> None:
    volume = make(host, "limited", 100 * MIB)
    script = f"""
import os
file, written = os.open('/data/file', os.O_WRONLY | os.O_CREAT), 0
for size in ({MIB}, 4096, 1):
    try:
        while True: written += os.write(file, b'x' * size)
    except OSError as error: assert error.errno == 28
os.fsync(file)
print(written)
"""
    written = int(host.python(script, volumes=mounted("limited"))[1])
    # never a byte more; at most a few blocks less, in which ext4 notes where the file is
    assert 100 * MIB - 16 * 4096 <= written <= 100 * MIB
    assert written <= host.engine.keeper().inspect(volume).used_bytes <= 100 * MIB
    again = (
        f"import os; os.unlink('/data/file'); open('/data/f', 'wb').write(b'z' * {99 * MIB}); print('fits')"
    )
    assert "fits" in host.python(again, volumes=mounted("limited"))[1]
    # the disk of the host: the data, and what ext4 needs for itself
    assert disk_of(host, volume).stat().st_blocks * 512 < 116 * MIB


def may_resize() -> bool:
    """Whether the kernel lets this process grow a mounted file system: CAP_SYS_RESOURCE."""
    words = Path("/proc/self/status").read_text().split()
    return bool(int(words[words.index("CapEff:") + 1], 16) >> 24 & 1)


def test_it_grows_and_never_shrinks(host: Host) -> None:
    volume = make(host, "growing", 16 * MIB)
    keeper = host.engine.keeper()
    container = host.start(
        "/bin/sh", "-c", "echo old >/data/f; echo up; sleep 600", volumes=mounted("growing")
    )
    eventually(lambda: "up" in host.output(container))
    if may_resize():
        assert keeper.grow(volume, 48 * MIB).size_bytes == 48 * MIB
    else:
        with pytest.raises(
            VolumeBusy, match="cannot grow on this host while it is in use.*Stop what uses it"
        ):
            keeper.grow(volume, 48 * MIB)
    host.engine.delete(container)
    assert keeper.grow(volume, 48 * MIB).used_bytes < MIB
    with pytest.raises(VolumeInvalid, match="cannot shrink to 1 MiB"):
        keeper.grow(volume, MIB)
    script = f"cat /data/f; dd if=/dev/zero of=/data/g bs={MIB} count=49 2>/dev/null; stat -c %s /data/g"
    old, size = host.shell(script, volumes=mounted("growing"))[1].split()
    assert old == "old" and 47 * MIB <= int(size) <= 48 * MIB


def test_a_second_writer_is_refused_and_readers_are_not(host: Host) -> None:
    make(host, "single")
    writer = host.start(
        "/bin/sh", "-c", "echo one >/data/f; sync; echo ok; sleep 600", volumes=mounted("single")
    )
    eventually(lambda: "ok" in host.output(writer))
    with pytest.raises(VolumeBusy, match=rf"writable in web\.\d+ \({writer}\)"):
        host.start(*SLEEP, volumes=mounted("single"))
    read = host.shell("cat /data/f; touch /data/g 2>&1", volumes=mounted("single", read_only=True))[1]
    assert read.startswith("one\n") and "Read-only file system" in read
    host.engine.delete(writer)
    assert host.shell("rm /data/f && echo gone", volumes=mounted("single"))[1] == "gone\n"


def test_another_app_never_reaches_it(host: Host) -> None:
    make(host, "private")
    with pytest.raises(VolumeMissing):
        host.shell("true", owner="app-2", volumes=mounted("private"))
    with pytest.raises(VolumeExists, match="has a volume named private"):
        host.engine.keeper().create(VolumeSpec(id="other", owner="app-1", name="private", size_bytes=MIB))


def image(host: Host, folder: Path) -> Rootfs:
    place = folder / "source" / "srv" / "data"
    (place / "sub").mkdir(parents=True)
    (place / "root-owned").write_text("from the image")
    (place / "mine").write_text("mine")
    (place / "sub" / "link").symlink_to("/etc/passwd")
    for path, owner, mode in (
        (place, 1000, 0o750),
        (place / "mine", 1000, 0o640),
        (place / "root-owned", 0, 0o604),
    ):
        os.chown(path, owner, owner)
        path.chmod(mode)
    _pack(folder)
    digest, size = digest_of(folder / "slug")
    ref = ImageRef(digest=digest, size=size)
    host.engine.add_image(ref, folder / "slug")
    return Rootfs(layers=(ref,), host=True)


def _pack(folder: Path) -> None:
    command = (
        "mksquashfs",
        str(folder / "source"),
        str(folder / "slug"),
        "-noappend",
        "-quiet",
        "-no-progress",
    )
    subprocess.run(command, check=True)


def test_a_new_volume_gets_the_images_files_once(host: Host, tmp_path: Path) -> None:
    rootfs = image(host, tmp_path)
    make(host, "seeded")
    mounts = mounted("seeded", "/srv/data")
    look = "cd /srv/data; stat -c '%n %u %a' . mine root-owned; readlink sub/link; cat root-owned"
    said = host.shell(look, rootfs=rootfs, volumes=mounts)[1].splitlines()
    assert said == [". 1000 750", "mine 1000 640", "root-owned 0 604", "/etc/passwd", "from the image"]
    host.shell("rm -r /srv/data/mine; echo new >/srv/data/new", rootfs=rootfs, volumes=mounts)
    assert host.shell("ls /srv/data", rootfs=rootfs, volumes=mounts)[1].split() == [
        "new",
        "root-owned",
        "sub",
    ]
    make(host, "small", MIB)
    (tmp_path / "source" / "srv" / "data" / "big").write_bytes(os.urandom(2 * MIB))
    (tmp_path / "slug").unlink(missing_ok=True)
    _pack(tmp_path)
    digest, size = digest_of(tmp_path / "slug")
    host.engine.add_image(ImageRef(digest=digest, size=size), tmp_path / "slug")
    large = Rootfs(layers=(ImageRef(digest=digest, size=size),), host=True)
    with pytest.raises(EngineError, match="could not be copied to the new volume small.*No space left"):
        host.shell("true", rootfs=large, volumes=mounted("small", "/srv/data"))
    assert host.shell("ls -A /data", volumes=mounted("small"))[1] == ""


def test_an_unclean_volume_is_repaired_and_a_damaged_one_is_never_thrown_away(host: Host) -> None:
    volume = make(host, "hurt")
    keeper, disk = host.engine.keeper(), disk_of(host, volume)
    container = host.start(
        "/bin/sh", "-c", "echo safe >/data/f; sync; echo ok; sleep 600", volumes=mounted("hurt")
    )
    eventually(lambda: "ok" in host.output(container))
    crashed = disk.read_bytes()  # as after a power cut: the journal is not written back
    host.engine.delete(container)
    eventually(lambda: not loop.device_of(disk))
    disk.write_bytes(crashed)
    assert host.shell("cat /data/f", volumes=mounted("hurt"))[1] == "safe\n"
    keeper.snapshot(volume, "good")
    eventually(lambda: not loop.device_of(disk))
    with disk.open("r+b") as stream:  # all but the superblock
        stream.seek(4096)
        stream.write(b"\xa5" * 2 * MIB)
    damaged = disk.read_bytes()
    with pytest.raises(VolumeDamaged, match=r"nothing was thrown away.*snapshot"):
        host.shell("true", volumes=mounted("hurt"))
    assert disk.read_bytes()[4096:] == damaged[4096:]
    keeper.restore(volume, "good")
    assert host.shell("cat /data/f", volumes=mounted("hurt"))[1] == "safe\n"


def test_a_lost_mount_is_restored_while_containers_go_on(host: Host) -> None:
    volume = make(host, "lost")
    script = "n=0; while sleep 0.05; do n=$((n+1)); echo $n >/data/n; echo $n; done"
    container = host.start("/bin/sh", "-c", script, volumes=mounted("lost"))
    eventually(lambda: host.output(container) != "")
    target = host.engine.keeper()._store.target(volume)
    host.engine._mounts.call(lambda: subprocess.run(["umount", "-l", str(target)], check=True))
    assert host.engine.keeper().look_after() == (
        "Volume lost had lost its mount on this host; it is mounted again.",
    )
    assert host.engine.keeper().look_after() == ()
    seen = int(host.output(container).split()[-1])
    eventually(lambda: int(host.output(container).split()[-1]) > seen)
    assert int(host.engine._mounts.call((target / "n").read_text)) >= seen
    host.engine.delete(container)


def test_a_retained_volume_can_be_given_to_another_app_and_its_owners_are_right(host: Host) -> None:
    volume = make(host, "handed", owner="app-1")
    host.shell("echo mine >/data/f; chmod 600 /data/f", volumes=mounted("handed"))
    keeper = host.engine.keeper()
    assert keeper.retain(volume).retained
    make_again = VolumeSpec(id="v-handed-2", owner="app-1", name="handed", size_bytes=MIB)
    keeper.create(make_again)  # the name is free
    keeper.remove("v-handed-2")
    keeper.give(volume, "app-2", "taken")
    said = host.shell("cat /data/f; stat -c %u /data/f", owner="app-2", volumes=mounted("taken"))[1]
    assert said.split() == ["mine", "1000"]
    keeper.remove(volume)


def test_volumes_made_on_demand_by_a_spec(host: Host) -> None:
    wish = (VolumeMount(name="ondemand", target="/data", size_bytes=16 * MIB),)
    host.shell("echo x >/data/f", volumes=wish)
    assert host.shell("cat /data/f", volumes=wish)[1] == "x\n"
    larger = (VolumeMount(name="ondemand", target="/data", size_bytes=24 * MIB),)
    host.shell("true", volumes=larger)
    (status,) = (one for one in host.engine.keeper().list() if one.name == "ondemand")
    assert status.size_bytes == 24 * MIB and re.fullmatch("[0-9a-f]{32}", status.id)


def test_the_doctor_finds_nothing_but_a_volume_without_record(host: Host) -> None:
    make(host, "seen")
    container = host.start(*SLEEP, volumes=mounted("seen"), rootfs=HOST)

    class Asked:
        def containers(self) -> frozenset[str]:
            return frozenset({container})

        def jobs(self) -> frozenset[str]:
            return frozenset()

    assert host.engine.examine(Asked(), repair=False).findings == ()
    lost = host.config.home / "data" / "nobodys"
    lost.mkdir()
    (lost / "disk.ext4").write_bytes(b"precious")
    (finding,) = host.engine.examine(Asked(), repair=True).findings
    assert "without its volume.json" in finding.problem and not finding.repaired
    assert (lost / "disk.ext4").read_bytes() == b"precious"
    host.engine.delete(container)
