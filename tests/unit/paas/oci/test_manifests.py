"""Manifests and indexes of OCI and Docker."""

from __future__ import annotations

import json

import pytest

from paas.oci.errors import ImageError
from paas.oci.manifests import Index, Manifest, Platform, check_platform, choose, media_type, parse

AMD, ARM = "sha256:" + "a" * 64, "sha256:" + "b" * 64
HOST = Platform("amd64", "linux")


def index(*platforms: tuple[str, str, str]) -> Index:
    entries = [
        {"digest": digest, "size": 1, "platform": {"os": os, "architecture": machine}}
        for digest, os, machine in platforms
    ]
    found = parse(json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
    assert isinstance(found, Index)
    return found


def test_a_manifest_without_media_type() -> None:
    found = parse(json.dumps({"config": {"digest": AMD, "size": 3}, "layers": []}).encode())
    assert isinstance(found, Manifest)
    assert media_type(found) == "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schemaVersion": 1, "fsLayers": []}',
        '{"layers": [{"digest": "sha256:../x", "size": 1}], "config": {"digest": "x", "size": 1}}',
        '{"layers": [], "config": {"digest": "sha256:%s", "size": -1}}' % ("a" * 64),
    ],
)
def test_what_is_no_manifest(text: str) -> None:
    with pytest.raises(ImageError):
        parse(text.encode())


def test_the_image_of_an_index_for_this_host() -> None:
    assert choose(index((ARM, "linux", "arm64"), (AMD, "linux", "amd64")), HOST).digest == AMD


def test_an_index_without_one_is_refused_with_the_list() -> None:
    with pytest.raises(
        ImageError, match=r"not made for linux/amd64; it has: linux/arm64, linux/s390x"
    ) as refused:
        choose(index((ARM, "linux", "arm64"), (AMD, "linux", "s390x"), (AMD, "unknown", "unknown")), HOST)
    assert refused.value.id == "image_platform"


def test_an_image_for_other_machines() -> None:
    check_platform(Platform("", ""), HOST)
    check_platform(HOST, HOST)
    with pytest.raises(ImageError, match="made for linux/arm64, this host is linux/amd64"):
        check_platform(Platform("arm64", "linux"), HOST)
    with pytest.raises(ImageError, match="windows/amd64"):
        check_platform(Platform("amd64", "windows"), HOST)
