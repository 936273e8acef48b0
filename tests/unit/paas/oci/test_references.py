"""Where images come from, as people write it."""

from __future__ import annotations

import pytest

from paas.oci.errors import ImageError
from paas.oci.references import Source, parse_source

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker://debian", "docker://docker.io/library/debian:latest"),
        ("docker://debian:13", "docker://docker.io/library/debian:13"),
        ("docker://team/app", "docker://docker.io/team/app:latest"),
        ("docker://localhost/app:1", "docker://localhost/app:1"),
        ("docker://127.0.0.1:5000/team/app:v1", "docker://127.0.0.1:5000/team/app:v1"),
        (f"docker://quay.io/x/y@{DIGEST}", f"docker://quay.io/x/y@{DIGEST}"),
        (f"docker://quay.io/x/y:1@{DIGEST}", f"docker://quay.io/x/y@{DIGEST}"),
        ("oci-archive:/tmp/a.tar", "oci-archive:/tmp/a.tar"),
        ("docker-archive:a.tar:name:1", "docker-archive:a.tar:name:1"),
    ],
)
def test_references(text: str, expected: str) -> None:
    assert str(parse_source(text)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("debian", "does not say where an image is"),
        ("", "does not say where an image is"),
        ("oci:/etc", "does not say where an image is"),
        ("docker:debian", "lacks the slashes"),
        ("docker://Debian", "in lower case"),
        ("docker://a/../b", "is not the name of an image"),
        ("docker://-x.y/b", "is not the name of an image"),
        ("docker://a:", None),
        ("docker://a:b c", "is not a tag"),
        ("docker://a@sha256:12", "is not a digest"),
        ("oci-archive:a\nb", "does not say where an image is"),
    ],
)
def test_what_is_no_reference(text: str, words: str | None) -> None:
    if words is None:
        assert parse_source(text).tag == "latest"
        return
    with pytest.raises(ImageError, match=words):
        parse_source(text)


def test_by_content() -> None:
    assert parse_source("docker://a.b/c:1").at(DIGEST) == Source("docker", "a.b", "c", "", DIGEST)
