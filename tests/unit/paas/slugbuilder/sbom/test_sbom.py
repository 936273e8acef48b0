"""What a slug's bill of materials names, in trees as the package managers leave them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from paas.slugbuilder.sbom import FILE, components_of, write_sbom

pytestmark = pytest.mark.unit


def put(app: Path, name: str, text: str | bytes, mode: int = 0o644) -> None:
    file = app / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)


def purls(app: Path) -> list[str]:
    return [one.purl for one in components_of(app)]


def test_python(tmp_path: Path) -> None:
    site = ".venv/lib/python3.13/site-packages"
    put(
        tmp_path,
        f"{site}/django-5.2.dist-info/METADATA",
        "Name: Django\nVersion: 5.2\nLicense: BSD\n mine\n\nbody",
    )
    put(tmp_path, f"{site}/zope.interface-7.dist-info/METADATA", "Name: zope.interface\nVersion: 7.1\n\n")
    put(tmp_path, f"{site}/broken-1.dist-info/METADATA", "\x00nothing")
    assert purls(tmp_path) == ["pkg:pypi/django@5.2", "pkg:pypi/zope-interface@7.1"]
    assert components_of(tmp_path)[0].license == "BSD"


def test_node_with_scopes_nested_packages_and_a_links_loop(tmp_path: Path) -> None:
    put(
        tmp_path,
        "node_modules/express/package.json",
        '{"name": "express", "version": "5.1.0", "license": "MIT"}',
    )
    put(tmp_path, "node_modules/@babel/core/package.json", '{"name": "@babel/core", "version": "7.0.1"}')
    put(
        tmp_path,
        "node_modules/express/node_modules/ms/package.json",
        '{"name": "ms", "version": "2.0.0", "licenses": [{"type": "MIT"}]}',
    )
    put(tmp_path, "node_modules/odd/package.json", "[" * 5000)
    put(tmp_path, "node_modules/.bin/tool", "")
    (tmp_path / "node_modules/me").symlink_to(tmp_path)
    assert purls(tmp_path) == [
        "pkg:npm/ms@2.0.0",
        "pkg:npm/express@5.1.0",
        "pkg:npm/%40babel/core@7.0.1",
    ] or sorted(purls(tmp_path)) == [
        "pkg:npm/%40babel/core@7.0.1",
        "pkg:npm/express@5.1.0",
        "pkg:npm/ms@2.0.0",
    ]


def test_ruby_php_and_what_is_no_package(tmp_path: Path) -> None:
    gems = "vendor/bundle/ruby/3.3.0/specifications"
    put(tmp_path, f"{gems}/rack-3.1.8.gemspec", 's.licenses = ["MIT".freeze]')
    put(tmp_path, f"{gems}/nokogiri-1.17.0-x86_64-linux-gnu.gemspec", "")
    put(
        tmp_path,
        "vendor/composer/installed.json",
        '{"packages": [{"name": "monolog/monolog", "version": "3.8.0", "license": ["MIT"]}, 7, {"name": 1}]}',
    )
    assert purls(tmp_path) == [
        "pkg:composer/monolog/monolog@3.8.0",
        "pkg:gem/nokogiri@1.17.0",
        "pkg:gem/rack@3.1.8",
    ]


def text(data: bytes) -> bytes:
    length, head = len(data), b""
    while length >= 0x80:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    return head + bytes([length]) + data


def go_program(listed: str) -> bytes:
    mark = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"
    header = b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16)
    return (
        b"\x7fELF" + bytes(60) + header + text(b"go1.24.1") + text(mark + listed.encode() + mark) + bytes(99)
    )


def test_go(tmp_path: Path) -> None:
    listed = (
        "path\texample.com/shop\nmod\texample.com/shop\t(devel)\t\n"
        "dep\tgithub.com/gorilla/mux\tv1.8.1\th1:x=\ndep\told.example/x\tv1.0.0\n=>\tnew.example/x\tv1.0.1\th1:y=\n"
        + "build\t-compiler=gc\n"
        * 20
    )
    put(tmp_path, "bin/shop", go_program(listed), 0o755)
    put(tmp_path, "bin/script", "#!/bin/sh\n", 0o755)
    put(tmp_path, "bin/cut", go_program(listed)[:120], 0o755)
    assert purls(tmp_path) == [
        "pkg:golang/example.com/shop@%28devel%29",
        "pkg:golang/github.com/gorilla/mux@v1.8.1",
        "pkg:golang/new.example/x@v1.0.1",
    ]


def archive(**entries: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in entries.items():
            made.writestr(name.replace("__", "/"), content)
    return data.getvalue()


def test_java_with_libraries_in_the_archive(tmp_path: Path) -> None:
    pom = b"#made\nversion=6.2.0\ngroupId=org.springframework\nartifactId=spring-core\n"
    inner = archive(**{"META-INF/maven/org.springframework/spring-core/pom.properties": pom})
    outer = archive(
        **{
            "META-INF/maven/com.example/shop/pom.properties": b"version=1.0\ngroupId=com.example\nartifactId=shop\n",
            "BOOT-INF/lib/spring-core.jar": inner,
            "BOOT-INF/lib/no.jar": b"no archive",
        }
    )
    put(tmp_path, "target/shop.jar", outer)
    put(tmp_path, "target/broken.jar", b"PK\x03\x04 broken")
    assert purls(tmp_path) == [
        "pkg:maven/com.example/shop@1.0",
        "pkg:maven/org.springframework/spring-core@6.2.0",
    ]


def test_what_cloud_native_buildpacks_tell_of(tmp_path: Path) -> None:
    found = [
        {"purl": "pkg:npm/%40babel/core@7.0%2B1?a=b", "version": "8"},
        {"purl": "pkg:npm/@babel/types", "version": "7.1"},
        {"purl": "pkg:generic/ruby", "version": "3.4"},
        {"purl": "pkg:generic/none"},
        {"purl": "pkg:generic", "version": "1"},
    ]
    file = ".paas/layers/sbom/launch/a_b/tool/sbom.cdx.json"
    put(tmp_path, file, json.dumps({"components": found}))
    assert sorted(purls(tmp_path)) == [
        "pkg:generic/ruby@3.4",
        "pkg:npm/%40babel/core@7.0%2B1",
        "pkg:npm/%40babel/types@7.1",
    ]


def test_the_document_is_the_same_for_the_same_tree(tmp_path: Path) -> None:
    put(tmp_path, "node_modules/ms/package.json", '{"name": "ms", "version": "2.0.0", "license": "MIT"}')
    assert write_sbom(tmp_path) == 1
    first = (tmp_path / FILE).read_bytes()
    assert write_sbom(tmp_path) == 1
    assert (tmp_path / FILE).read_bytes() == first
    document = json.loads(first)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["bom-ref"] == "app"
    assert document["components"] == [
        {
            "type": "library",
            "bom-ref": "pkg:npm/ms@2.0.0",
            "name": "ms",
            "version": "2.0.0",
            "purl": "pkg:npm/ms@2.0.0",
            "licenses": [{"license": {"name": "MIT"}}],
        }
    ]
    assert document["dependencies"] == [{"ref": "app", "dependsOn": ["pkg:npm/ms@2.0.0"]}]


def test_an_app_without_packages_has_one_too(tmp_path: Path) -> None:
    assert write_sbom(tmp_path) == 0
    assert json.loads((tmp_path / FILE).read_text())["components"] == []
