"""Pulling images by skopeo from a real registry on loopback, and from archives."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas.oci.errors import ImageError
from paas.oci.fetch import Cancelled, Puller, pull
from paas.oci.flatten import flatten
from paas.oci.layout import Blobs
from paas.oci.references import parse_source
from tests.oci_images import File, Layout, busybox, skopeo
from tests.oci_registry import Registry, serve

pytestmark = pytest.mark.integration


@pytest.fixture
def registry(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Registry]:
    with serve(tmp_path / "registry", free_ports(2)) as one:
        yield one


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def puller(folder: Path, *insecure: str) -> Puller:
    return Puller(folder / "pulls", Blobs(folder / "blobs"), frozenset(insecure))


def silent(_: str) -> None:
    pass


def test_from_a_registry(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    made = layout.image(layout.layer(busybox()), Cmd=["/bin/sleep", "9"])
    layout.push(f"{registry.host}/team/app:1")
    one, said = puller(tmp_path, registry.host), []
    got = pull(one, parse_source(f"docker://{registry.host}/team/app:1"), "", said.append)
    assert got.origin == made["digest"]
    image = one.blobs.image(got.digest)
    assert image.config.container.cmd == ("/bin/sleep", "9")
    assert flatten(image.layers, tmp_path / "a").shell
    assert any("1 layers, 1 to fetch" in line for line in said)


def test_a_layer_is_fetched_once(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    base = layout.layer(busybox())
    for name in ("a", "b"):
        layout.image(base, layout.layer([File(name, b"1")]))
        layout.push(f"{registry.host}/{name}")
    registry.fetched.clear()
    one = puller(tmp_path, registry.host)
    threads = [
        threading.Thread(
            target=pull, args=(one, parse_source(f"docker://{registry.host}/{name}"), "", silent)
        )
        for name in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert registry.fetched[base[0]["digest"]] == 1


CHILD = """
import sys
from pathlib import Path
from paas.oci.fetch import Puller, pull
from paas.oci.layout import Blobs
from paas.oci.references import parse_source
folder, host = Path(sys.argv[1]), sys.argv[2]
one = Puller(folder / "pulls", Blobs(folder / "blobs"), frozenset([host]))
pull(one, parse_source(f"docker://{host}/app"), "", print)
"""


def test_a_killed_pull_fetches_only_the_rest(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    done, rest = layout.layer(busybox()), layout.layer([File("big", os.urandom(2 * 1024**2))])
    layout.image(done, rest)
    layout.push(f"{registry.host}/app")
    registry.fetched.clear()
    registry.held.add(rest[0]["digest"])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), registry.host], start_new_session=True
    )
    one = puller(tmp_path, registry.host)
    try:
        assert registry.stalled.wait(30)
        first = one.blobs.path(done[0]["digest"])
        assert until(first.exists), "the other layer has arrived meanwhile"
    finally:
        child.kill()
        child.wait()
    assert until(lambda: not _skopeo_of(tmp_path)), "skopeo ends with its caller"
    registry.held.clear()
    registry.released.set()
    got = pull(one, parse_source(f"docker://{registry.host}/app"), "", silent)
    assert len(one.blobs.image(got.digest).layers) == 2
    assert registry.fetched[done[0]["digest"]] == 1
    assert registry.fetched[rest[0]["digest"]] == 2


def _skopeo_of(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if line.startswith("skopeo") and str(folder / "pulls") in line:
                found.append(line)
    return found


def until(condition: Callable[[], object], timeout: float = 30) -> bool:
    waited = threading.Event()
    for _ in range(int(timeout / 0.05)):
        if condition():
            return True
        waited.wait(0.05)
    return False


def test_a_pull_that_nobody_wants_ends(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    held = layout.layer([File("big", os.urandom(1024**2))])
    layout.image(held)
    layout.push(f"{registry.host}/app")
    registry.held.add(held[0]["digest"])
    source = parse_source(f"docker://{registry.host}/app")
    with pytest.raises(Cancelled):
        pull(puller(tmp_path, registry.host), source, "", silent, lambda: not registry.stalled.is_set())
    assert not _skopeo_of(tmp_path)
    assert not list((tmp_path / "pulls").glob(".pull-*"))


def test_a_flipped_byte_on_the_way_is_refused(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    layer = layout.layer(busybox())
    layout.image(layer)
    layout.push(f"{registry.host}/app")
    registry.flipped.add(layer[0]["digest"])
    one = puller(tmp_path, registry.host)
    with pytest.raises(ImageError) as refused:
        pull(one, parse_source(f"docker://{registry.host}/app"), "", silent)
    assert refused.value.id == "image_damaged"
    assert not one.blobs.path(layer[0]["digest"]).exists()


def test_the_right_one_of_several_platforms(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    layer = layout.layer(busybox())
    here, there = layout.image(layer), layout.image(layer, architecture="riscv64")
    layout.index(there, here)
    layout.push(f"{registry.host}/app")
    one = puller(tmp_path, registry.host)
    assert pull(one, parse_source(f"docker://{registry.host}/app"), "", silent).origin == here["digest"]
    layout.index(there)
    layout.push(f"{registry.host}/app")
    with pytest.raises(ImageError, match="it has: linux/riscv64") as refused:
        pull(one, parse_source(f"docker://{registry.host}/app"), "", silent)
    assert refused.value.id == "image_platform"


@pytest.mark.parametrize(
    ("text", "id_", "words"),
    [
        ("docker://{host}/nothing", "image_not_found", "check name and tag"),
        ("docker://127.0.0.1:1/app", "registry_unavailable", "does not answer"),
        ("oci-archive:/does/not/exist.tar", "image_refused", "is no archive of one image"),
    ],
)
def test_what_cannot_be_had(registry: Registry, tmp_path: Path, text: str, id_: str, words: str) -> None:
    source = parse_source(text.format(host=registry.host))
    with pytest.raises(ImageError, match=words) as refused:
        pull(puller(tmp_path, registry.host, "127.0.0.1:1"), source, "", silent)
    assert refused.value.id == id_


def test_a_registry_without_tls_must_be_allowed(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    layout.image(layout.layer(busybox()))
    layout.push(f"{registry.host}/app")
    with pytest.raises(ImageError, match="PAAS_INSECURE_REGISTRIES") as refused:
        pull(puller(tmp_path), parse_source(f"docker://{registry.host}/app"), "", silent)
    assert refused.value.id == "registry_insecure"


def test_an_image_that_is_too_large(registry: Registry, layout: Layout, tmp_path: Path) -> None:
    layout.image(layout.layer([File("a", os.urandom(3 * 1024**2))]))
    layout.push(f"{registry.host}/app")
    small = Puller(
        tmp_path / "pulls", Blobs(tmp_path / "blobs"), frozenset([registry.host]), size_max=1024**2
    )
    with pytest.raises(ImageError, match="at most 1 are taken"):
        pull(small, parse_source(f"docker://{registry.host}/app"), "", silent)


def test_an_archive_made_by_umoci(tmp_path: Path) -> None:
    """Two layers by another tool: the second deletes a file of the first and sets the configuration."""
    layout, bundle = tmp_path / "umoci", tmp_path / "bundle"
    run("umoci", "init", "--layout", str(layout))
    run("umoci", "new", "--image", f"{layout}:app")
    for number, change in enumerate((_first, _second)):
        run("umoci", "unpack", "--rootless", "--image", f"{layout}:app", f"{bundle}{number}")
        change(Path(f"{bundle}{number}") / "rootfs")
        run("umoci", "repack", "--image", f"{layout}:app", f"{bundle}{number}")
    config = ("--config.cmd=/bin/serve", "--config.env=A=1", "--config.user=7:8")
    run("umoci", "config", "--image", f"{layout}:app", *config)
    archive = tmp_path / "app.tar"
    skopeo("copy", f"oci:{layout}:app", f"oci-archive:{archive}")
    one = puller(tmp_path)
    image = one.blobs.image(pull(one, parse_source(f"oci-archive:{archive}"), "", silent).digest)
    assert (image.config.container.cmd, image.config.container.user) == (("/bin/serve",), "7:8")
    flat = flatten(image.layers, tmp_path / "a")
    names = run("unsquashfs", "-l", "-d", "", str(flat.file)).split()
    assert "/kept" in names
    assert "/gone" not in names
    docker = tmp_path / "docker.tar"
    skopeo("copy", f"oci:{layout}:app", f"docker-archive:{docker}:app:1")
    again = one.blobs.image(pull(one, parse_source(f"docker-archive:{docker}"), "", silent).digest)
    assert flatten(again.layers, tmp_path / "b").digest == flat.digest


def _first(root: Path) -> None:
    for name in ("dev", "proc", "sys", "etc"):
        (root / name).mkdir(exist_ok=True)
    (root / "kept").write_text("kept")
    (root / "gone").write_text("gone")


def _second(root: Path) -> None:
    (root / "gone").unlink()


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_credentials_come_from_a_file_that_nobody_else_can_read(
    registry: Registry, layout: Layout, tmp_path: Path
) -> None:
    held = layout.layer(busybox())
    layout.image(held)
    layout.push(f"{registry.host}/app")
    basic = base64.b64encode(b"robot:secret").decode()
    registry.credentials = f"Basic {basic}"
    source, one = parse_source(f"docker://{registry.host}/app"), puller(tmp_path, registry.host)
    with pytest.raises(ImageError, match="give credentials") as refused:
        pull(one, source, "", silent)
    assert refused.value.id == "image_forbidden"
    registry.held.add(held[0]["digest"])
    seen: list[str] = []

    def look() -> bool:
        if registry.stalled.is_set() and not registry.released.is_set():
            (file,) = (tmp_path / "pulls").rglob("auth.json")
            seen.extend([oct(file.stat().st_mode & 0o777), *_skopeo_of(tmp_path)])
            registry.released.set()
        return True

    pull(one, source, json.dumps({"auths": {registry.host: {"auth": basic}}}), silent, look)
    assert seen[0] == "0o600"
    assert len(seen) > 1
    assert not any(basic in line or "secret" in line for line in seen)
    assert not list((tmp_path / "pulls").rglob("auth.json"))
