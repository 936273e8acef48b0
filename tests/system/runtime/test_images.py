"""Images: verified on arrival, mounted below a container, packed reproducibly."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
from pathlib import Path

import pytest

from runtime.container.port import EngineError, VolumeBind
from runtime.images import packing
from runtime.model import ContainerSpec, ImageRef, Rootfs
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system


def build_image(
    folder: Path, files: dict[str, str], links: dict[str, str] | None = None
) -> tuple[ImageRef, Path]:
    """Make a squashfs of `files` (owner 1000) and `links`."""
    source, target = folder / "source", folder / "image.squashfs"
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    for name, goal in (links or {}).items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).symlink_to(goal)
    options = ["-quiet", "-no-progress", "-force-uid", "1000", "-force-gid", "1000"]
    subprocess.run(["mksquashfs", str(source), str(target), *options], check=True, capture_output=True)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    return ImageRef(digest=f"sha256:{digest}", size=target.stat().st_size), target


def test_layers_lie_over_the_host_stack(host: Host, tmp_path: Path) -> None:
    lower, lower_file = build_image(tmp_path / "1", {"app/a": "lower", "app/b": "lower"})
    upper, upper_file = build_image(tmp_path / "2", {"app/b": "upper", "app/run.sh": "#!/bin/sh\ncat a b"})
    assert host.engine.missing_images((lower, upper)) == (lower, upper)
    host.engine.add_image(lower, lower_file)
    host.engine.add_image(upper, upper_file)
    assert host.engine.missing_images((lower, upper)) == ()
    assert not lower_file.exists()
    rootfs = Rootfs(layers=(upper, lower), host=True)
    ended, output = host.shell("sh run.sh; stat -c %u /app/a; echo mine > a && cat a", rootfs=rootfs)
    assert (ended.code, output) == (0, "lowerupper1000\nmine\n")
    assert host.shell("cat a", rootfs=rootfs)[1] == "lower"  # nothing of the first run stays


def test_a_damaged_download_is_refused(host: Host, tmp_path: Path) -> None:
    ref, file = build_image(tmp_path, {"app/a": "x"})
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(EngineError, match="damaged"):
        host.engine.add_image(ref, file)
    assert host.engine.missing_images((ref,)) == (ref,)
    with pytest.raises(EngineError, match="not on this host"):
        host.engine.create(host.spec("true", rootfs=Rootfs(layers=(ref,), host=True)))


def test_something_else_than_a_squashfs_is_said_in_words(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"x" * 8192)
    ref = ImageRef(digest=f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}")
    host.engine.add_image(ref, file)
    with pytest.raises(EngineError, match="not a squashfs"):
        host.engine.create(host.spec("true", rootfs=Rootfs(layers=(ref,), host=True)))
    for digest in ("sha256:../../etc/passwd", "md5:aa", "sha256:" + "A" * 64):
        with pytest.raises(EngineError, match="not an image digest"):
            host.engine.missing_images((ImageRef(digest=digest),))


def test_links_in_an_image_lead_nowhere_on_the_host(host: Host, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    names = ("dev", "proc", "sys", "app", "tmp", "etc", "var", "run")
    ref, file = build_image(tmp_path, {"marker": "x"}, {name: str(trap) for name in names})
    host.engine.add_image(ref, file)
    rootfs = Rootfs(layers=(ref,), host=True)
    ended, output = host.shell("echo x > /tmp/x; ls /dev/null /proc/self/status /sys/class", rootfs=rootfs)
    assert ended.code == 0, output
    assert os.listdir(trap) == []


def test_export_is_reproducible_and_needs_no_download(host: Host, tmp_path: Path) -> None:
    script = "mkdir -p d; echo one > d/one; ln d/one two; ln -s d/one three; chmod 755 two; mkfifo p"
    script += "; head -c 300000 /dev/urandom > {0}; cp /usr/bin/true {1}; rm {0}"
    refs = []
    for turn, names in enumerate((("a", "z"), ("z0", "z"))):
        container = host.start("/bin/sh", "-c", script.format(*names), create={"scratch_bytes": 64 * 2**20})
        host.finish(container)
        refs.append(host.engine.export(container, "/app", tmp_path / f"{turn}.squashfs"))
        host.engine.delete(container)
    assert refs[0] == refs[1]
    assert host.engine.missing_images((refs[0],)) == ()
    assert host.engine.image_file(refs[0]).read_bytes() == (tmp_path / "0.squashfs").read_bytes()
    rootfs = Rootfs(layers=(refs[0],), host=True)
    ended, output = host.shell("find . -printf '%P %U %m %T@ %n\\n' | sort", rootfs=rootfs)
    assert ended.code == 0
    assert "d/one 1000 755 0.0000000000 2" in output
    assert "z 1000 755 0.0000000000 1" in output


def test_dependencies_are_an_image_of_their_own_that_outlives_the_code(host: Host, tmp_path: Path) -> None:
    """The code changes, times differ: the dependencies stay the same image, and both make one tree again."""
    refs = []
    for turn, code in enumerate(("one", "two")):
        script = f"mkdir -p deps/lib; head -c 300000 /dev/zero > deps/lib/big; ln -s lib deps/link; echo {code} > code"
        container = host.start("/bin/sh", "-c", script, create={"scratch_bytes": 64 * 2**20})
        host.finish(container)
        deps = host.engine.export(container, "/app/deps", tmp_path / f"d{turn}.squashfs")
        code_only = tmp_path / f"c{turn}.squashfs"
        refs.append((host.engine.export(container, "/app", code_only, without=("/app/deps",)), deps))
        host.engine.delete(container)
    assert refs[0][1] == refs[1][1]
    assert refs[0][0] != refs[1][0]
    ended, output = host.shell(
        "find . -mindepth 1 | sort; cat code", rootfs=Rootfs(layers=refs[1], host=True)
    )
    assert ended.code == 0
    assert output.split() == ["./code", "./deps", "./deps/lib", "./deps/lib/big", "./deps/link", "two"]


def test_a_tree_that_was_packed_is_known_again_by_its_content(host: Host, tmp_path: Path) -> None:
    """With a cache, whose notes name the image: the same bytes without packing, and packed where the image is gone,
    damaged, or where the tree differs."""
    script = "mkdir -p deps; head -c 3000000 /dev/zero > deps/big; ln -s big deps/link; echo {} > deps/code"

    def export(turn: int, code: str) -> tuple[ImageRef, bytes]:
        cache = VolumeBind(name="cache", target="/cache", size_bytes=16 * 2**20)
        create = {"scratch_bytes": 64 * 2**20, "volumes": (cache,)}
        container = host.start("/bin/sh", "-c", script.format(code), create=create)
        host.finish(container)
        target = tmp_path / f"n{turn}.squashfs"
        ref = host.engine.export(container, "/app/deps", target)
        host.engine.delete(container)
        return ref, target.read_bytes()

    first = export(0, "one")
    kept = host.engine.image_file(first[0])
    assert export(1, "one") == first
    assert kept.samefile(tmp_path / "n1.squashfs"), "linked, not packed"
    other = export(2, "two")
    assert other[0] != first[0]
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert export(3, "one") == first
    host.engine.remove_image(first[0])
    assert export(4, "one") == first
    assert host.engine.missing_images((first[0], other[0])) == ()
    notes = [file for file in (host.config.home / "volumes").rglob("*.packed") if file.is_file()]
    assert len(notes) == 1
    assert host.engine.remove_volume("app-1", "cache")
    assert not notes[0].exists()


TOUCHES = {
    "nothing": "true",
    "one file more": "touch deps/x",
    "one file less": "rm deps/sub/code",
    "a byte": "printf ? | dd of=deps/big bs=1 seek=5 conv=notrunc 2>/dev/null",
    "its mode": "chmod 700 deps",
    "a folder's mode": "chmod 700 deps/sub",
    "another in its place": "mv deps old; mkdir deps",
    "the other one in its place": "mv deps third; mv more deps; mv third more",
}


def test_a_folder_that_comes_back_is_not_read_and_never_taken_for_what_it_is_not(
    host: Host, tmp_path: Path
) -> None:
    """What is shown again in the next build, moved away and back, is the same image; whatever was done to it counts."""
    numbers = itertools.count()
    make = "mkdir -p deps/sub more; head -c 3000000 /dev/zero > deps/big; ln -s big deps/link; echo 1 > more/code"

    def build(script: str, packed: str = "/app") -> tuple[ImageRef, ImageRef, str]:
        cache = VolumeBind(name="cache", target="/cache", size_bytes=16 * 2**20, packed=packed)
        create = {"scratch_bytes": 64 * 2**20, "volumes": (cache,)}
        container = host.start("/bin/sh", "-c", script, create=create)
        ended, output = host.finish(container)
        assert ended.code == 0, output
        files = [tmp_path / f"o{next(numbers)}.squashfs" for _ in range(2)]
        deps, more = (
            host.engine.export(container, path, file)
            for path, file in zip(("/app/deps", "/app/more"), files, strict=True)
        )
        host.engine.delete(container)
        return deps, more, output

    whole = make + "; echo 1 > deps/sub/code"
    first, more, _ = build(whole)
    away = "mkdir /var/tmp/o && mv deps more /var/tmp/o/ && ls -A && mv /var/tmp/o/* ."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "fingerprint_of", lambda tree: pytest.fail("it was read"))
        assert build(f"{away}; cat deps/sub/code") == (first, more, "1\n"), (
            "moved, and there with what it holds"
        )
    for what, touch in TOUCHES.items():
        fresh = build(f"{whole}; {touch}", packed="")
        assert build(whole, packed="")[0] == first
        again = build(f"{away}; {touch}")
        assert again[:2] == fresh[:2], what
        build(whole, packed="")  # the newest again
    assert build(f"rm -r deps more; {whole}")[:2] == (first, more), "nothing of it has to be used"
    kept = host.engine.image_file(first)
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert build("test ! -e deps -a -d more; " + whole)[0] == first, "a damaged image is not offered"
    assert host.engine.remove_volume("app-1", "cache")


def test_export_refuses_what_it_must(host: Host, tmp_path: Path) -> None:
    running = host.start("/bin/sleep", "600")
    with pytest.raises(EngineError, match="still runs"):
        host.engine.export(running, "/app", tmp_path / "x")
    host.engine.delete(running)
    ended = host.start("/bin/sh", "-c", "ln -s /usr/share /app/away")
    host.finish(ended)
    for directory in ("/none", "/app/away", "/app/away/doc", "/", "/../etc"):
        with pytest.raises(EngineError):
            host.engine.export(ended, directory, tmp_path / "x")
    host.engine.delete(ended)
    assert not (tmp_path / "x").exists()


def test_an_image_can_be_removed_under_a_running_container(host: Host, tmp_path: Path) -> None:
    ref, file = build_image(tmp_path, {"app/a": "still here"})
    host.engine.add_image(ref, file)
    spec: ContainerSpec = host.spec(
        "/bin/sh", "-c", "sleep 0.5; cat a", rootfs=Rootfs(layers=(ref,), host=True)
    )
    host.engine.create(spec)
    host.engine.start(spec.id)
    host.engine.remove_image(ref)
    assert ref not in host.engine.images()
    assert host.finish(spec.id)[1] == "still here"
    host.engine.delete(spec.id)


def test_export_can_keep_the_times_that_the_job_has_set(host: Host, tmp_path: Path) -> None:
    refs = []
    for turn in range(2):
        script = "echo one > a; mkdir d; echo two > d/b; touch -d @1700000000 a d/b d ."
        container = host.start("/bin/sh", "-c", script, create={"scratch_bytes": 64 * 2**20})
        host.finish(container)
        refs.append(host.engine.export(container, "/app", tmp_path / f"k{turn}.squashfs", keep_times=True))
        host.engine.delete(container)
    assert refs[0] == refs[1]
    rootfs = Rootfs(layers=(refs[0],), host=True)
    ended, output = host.shell("find . -printf '%P %T@\\n' | sort", rootfs=rootfs)
    assert ended.code == 0
    assert "d/b 1700000000.0000000000" in output
