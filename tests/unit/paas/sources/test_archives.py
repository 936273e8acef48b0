"""Archives as people have them, made into the plain tar that builds take."""

from __future__ import annotations

import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from paas.sources import archives, tar_headers, unpacking
from paas.sources.archives import normalize
from paas.sources.errors import SourceError

pytestmark = pytest.mark.unit


def tar(*members: tuple[str, bytes, dict[str, object]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


SHOP = tar(
    ("shop-1/Procfile", b"web: run\n", {}),
    ("shop-1/bin/run", b"#!/bin/sh\n", {"mode": 0o755}),
    ("shop-1/link", b"", {"type": tarfile.SYMTYPE, "linkname": "bin/run"}),
)


def zipped(**options: object) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._shop-1", "x")
        for name, data, mode in (
            ("shop-1/", "", 0o40755),
            ("shop-1/Procfile", "web: run\n", 0o100644),
            ("shop-1/bin/run", "#!/bin/sh\n", 0o100755),
            ("shop-1/link", "bin/run", 0o120777),
        ):
            info = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, data)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


FORMATS = {
    "tar": SHOP,
    "gzip": gzip.compress(SHOP),
    "xz": lzma.compress(SHOP, preset=9),
    "xz in two streams": lzma.compress(SHOP[:700]) + lzma.compress(SHOP[700:]),
    "zstd": zstd(SHOP),
    "zip": zipped(),
}


def content(upload: bytes, folder: Path) -> dict[str, tuple[int, str, bytes]]:
    (folder / "upload").write_bytes(upload)
    normalize(folder / "upload", folder / "out.tar")
    with tarfile.open(folder / "out.tar") as made:
        return {
            member.name: (
                member.mode,
                member.linkname,
                made.extractfile(member).read() if member.isreg() else b"",
            )  # type: ignore[union-attr]
            for member in made
            if not member.isdir()
        }


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_tree(kind: str, tmp_path: Path) -> None:
    found = content(FORMATS[kind], tmp_path)
    assert found["Procfile"] == (0o644, "", b"web: run\n")
    assert found["bin/run"] == (0o755, "", b"#!/bin/sh\n")
    assert found["link"][1] == "bin/run"
    assert set(found) == {"Procfile", "bin/run", "link"}
    assert not list(tmp_path.glob(".plain-*"))


def refusal(upload: bytes, folder: Path) -> str:
    (folder / "upload").write_bytes(upload)
    with pytest.raises(SourceError) as raised:
        normalize(folder / "upload", folder / "out.tar")
    assert sorted(path.name for path in folder.iterdir()) == ["upload"]
    return f"{raised.value.id}: {raised.value.message}"


def test_zips_that_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../evil", "x")
    assert "source_invalid: The source holds the path '../evil'" in refusal(out.getvalue(), tmp_path)
    damaged = bytearray(zipped())
    damaged[damaged.find(b"shop-1/Procfile") + 18] ^= 0xFF
    assert refusal(bytes(damaged), tmp_path).startswith("source_invalid: ")
    encrypted = bytearray(zipped())
    at = encrypted.find(b"PK\x01\x02", encrypted.find(b"shop-1/Procfile"))
    while at >= 0:
        encrypted[at + 8] |= 1
        at = encrypted.find(b"PK\x01\x02", at + 1)
    assert "is encrypted" in refusal(bytes(encrypted), tmp_path)


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd", "zip"])
def test_what_unpacks_to_more_than_the_limit(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "UNPACKED_LIMIT", 100_000)
    monkeypatch.setattr(unpacking, "OVERHEAD", 50_000)
    zeros = bytes(1_000_000)
    bomb = tar(("zeros", zeros, {}))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", zeros)
    made = {"gzip": gzip.compress(bomb), "xz": lzma.compress(bomb), "zstd": zstd(bomb), "zip": out.getvalue()}
    assert refusal(made[kind], tmp_path).startswith("source_too_large: The source is too large")


@pytest.mark.parametrize("kind", ["xz", "zstd"])
def test_cut_off(kind: str, tmp_path: Path) -> None:
    assert refusal(FORMATS[kind][:-20], tmp_path).startswith("source_invalid: The source")


def test_lfs_pointers_are_told(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    assert "logo.png is a Git LFS pointer" in refusal(tar(("x/logo.png", pointer, {})), tmp_path)


def test_submodules_are_told_and_a_commit_known(tmp_path: Path) -> None:
    modules = b'[submodule "a"]\n\tpath = libs/a\n\turl = x\n[submodule "b"]\n\tpath = "libs/b"\n'
    upload = tar((".gitmodules", modules, {}), ("libs/b/file", b"x", {}), ("a", b"", {}))
    (tmp_path / "upload").write_bytes(upload)
    assert normalize(tmp_path / "upload", tmp_path / "out.tar").submodules == ("libs/a",)


def test_the_commit_of_git_archive(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c" * 40}
    ) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    (tmp_path / "upload").write_bytes(out.getvalue())
    assert normalize(tmp_path / "upload", tmp_path / "out.tar").commit == "c" * 40


def header(kind: bytes, data: bytes, name: str = "x") -> bytes:
    """A member as it stands in a tar, by its kind."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n"
    length = next(n for n in range(len(rest), len(rest) + 9) if len(str(n)) + len(rest) == n)
    return f"{length}{rest}".encode()


FILE = header(tarfile.REGTYPE, b"web: x", "Procfile")
LONG = header(tarfile.GNUTYPE_LONGNAME, b"n" * 2 * 1024**2)
HEADERS = {
    "a long name": LONG + FILE,
    "a long link": header(tarfile.GNUTYPE_LONGLINK, bytes(2 * 1024**2)) + FILE,
    "pax": header(tarfile.XHDTYPE, record("a", "b" * 2 * 1024**2)) + FILE,
    "pax of Solaris": header(tarfile.SOLARIS_XHDTYPE, record("a", "b" * 2 * 1024**2)) + FILE,
    "pax for everything": (header(tarfile.XGLTYPE, record("a", "b" * 10_000)) + FILE) * 2,
    "long names in a row": header(tarfile.GNUTYPE_LONGNAME, b"n") * 1500 + FILE,
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("behind", [b"", FILE])
def test_headers_that_no_source_needs(kind: str, behind: bytes, tmp_path: Path) -> None:
    upload = gzip.compress(behind + HEADERS[kind] + bytes(1024))
    assert refusal(upload, tmp_path).startswith("source_invalid: The source is a tar whose headers")


def test_headers_that_are_large_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_headers, "TOTAL_MOST", 1000)
    attributes = header(tarfile.XHDTYPE, record("SCHILY.xattr.a", "b" * 300))
    assert content(attributes + FILE + bytes(1024), tmp_path)
    (tmp_path / "out.tar").unlink()
    many = b"".join(attributes + header(tarfile.REGTYPE, b"", str(n)) for n in range(4))
    assert "a tar whose headers" in refusal(many + bytes(1024), tmp_path)


def test_long_names_that_are_used(tmp_path: Path) -> None:
    name = "/".join(["folder" * 30] * 5)
    for format_ in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=format_) as archive:
            for number in range(40):
                archive.addfile(tarfile.TarInfo(f"{number}/{name}"))
        assert len(content(out.getvalue(), tmp_path)) == 40
        (tmp_path / "out.tar").unlink()


def test_sparse_files_and_negative_sizes(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(1024**2)
    for format_ in ("gnu", "posix"):
        command = ["tar", "--sparse", f"--format={format_}", "-C", tmp_path, "-c", "sparse"]
        upload = subprocess.run(command, capture_output=True, check=True).stdout
        place = tmp_path / format_
        place.mkdir()
        assert "is a sparse file; make the archive without --sparse" in refusal(upload, place)
    info = tarfile.TarInfo("a")
    info.size = -512
    place = tmp_path / "negative"
    place.mkdir()
    assert "negative size" in refusal(FILE + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024), place)


def test_what_is_left_out_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (archives, unpacking):
        monkeypatch.setattr(module, "ENTRY_LIMIT", 10)
    upload = FILE + header(tarfile.DIRTYPE, b"", "./") * 20 + bytes(1024)
    assert refusal(upload, tmp_path).startswith("source_too_large: ")


def test_a_zip_of_too_many_entries_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "ENTRY_LIMIT", 10)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(11):
            archive.writestr(str(number), "")
    damaged = out.getvalue().replace(b"PK\x03\x04", b"PK\x03\x05").replace(b"PK\x03\x05", b"PK\x03\x04", 1)
    assert "10 entries unpacked" in refusal(damaged, tmp_path)
