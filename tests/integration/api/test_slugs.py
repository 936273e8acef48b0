"""What is in a slug and where it came from: documents made of the image and of the build's rows."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from django.utils import timezone

from paas.controller.models import App, Build, Slug
from paas.controller.selectors.images import image_path
from paas.slugbuilder.sbom import write_sbom

from .conftest import Api

pytestmark = pytest.mark.integration


@pytest.fixture
def slug(deployed: App, tmp_path: Path) -> Slug:
    """The slug of the deployed release, with an image as the agent packs one."""
    app = tmp_path / "tree" / "app"
    metadata = app / ".venv/lib/python3.13/site-packages/django-5.2.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Name: Django\nVersion: 5.2\n\n")
    write_sbom(app)
    return keep(deployed, tmp_path)


def keep(app: App, tmp_path: Path) -> Slug:
    file = tmp_path / "slug.squashfs"
    subprocess.run(["mksquashfs", str(tmp_path / "tree"), str(file), "-quiet", "-no-progress"], check=True)
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    target = image_path(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    file.rename(target)
    slug = app.slugs.get()
    Slug.objects.filter(id=slug.id).update(digest=digest, commit="c" * 40, buildpacks=[{"name": "python"}])
    slug.refresh_from_db()
    return slug


def test_the_packages_of_a_slug(api: Api, slug: Slug) -> None:
    answer = api.get(f"/apps/shop/slugs/{slug.id}/sbom")
    assert answer.status == 200
    assert [one["purl"] for one in answer.body["components"]] == ["pkg:pypi/django@5.2"]
    root = answer.body["metadata"]["component"]
    assert (root["name"], root["version"]) == ("shop", "c" * 40)
    assert root["hashes"] == [{"alg": "SHA-256", "content": slug.digest.removeprefix("sha256:")}]


def test_a_slug_without_a_list_says_what_to_do(api: Api, deployed: App, tmp_path: Path) -> None:
    (tmp_path / "tree/app").mkdir(parents=True)
    slug = keep(deployed, tmp_path)
    answer = api.get(f"/apps/shop/slugs/{slug.id}/sbom")
    assert (answer.status, answer.body["resource"]) == (404, "sbom")
    assert "Deploy the app again" in answer.body["message"]


def test_where_it_came_from(api: Api, slug: Slug) -> None:
    layers = ["sha256:" + letter * 64 for letter in "ab"]
    now = timezone.now()
    build = Build.objects.create(
        app=slug.app,
        slug=slug,
        commit="c" * 40,
        stack="debian-13",
        materials={"builder": "sha256:" + "d" * 64, "layers": layers},
        started_at=now,
        finished_at=now,
    )
    statement = api.get(f"/apps/shop/slugs/{slug.id}/provenance").body
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [
        {"name": "shop", "digest": {"sha256": slug.digest.removeprefix("sha256:")}}
    ]
    predicate = statement["predicate"]
    assert predicate["buildDefinition"]["externalParameters"]["commit"] == "c" * 40
    assert predicate["buildDefinition"]["internalParameters"] == {"buildpacks": [{"name": "python"}]}
    assert predicate["buildDefinition"]["resolvedDependencies"] == [
        {"name": "source", "digest": {"gitCommit": "c" * 40}},
        {"name": "builder", "digest": {"sha256": "d" * 64}},
        {"name": "stack debian-13", "digest": {"sha256": "a" * 64}},
        {"name": "stack debian-13", "digest": {"sha256": "b" * 64}},
    ]
    assert predicate["runDetails"]["metadata"]["invocationId"] == str(build.id)
    assert predicate["runDetails"]["metadata"]["finishedOn"].endswith("Z")


def test_a_build_that_is_not_kept(api: Api, slug: Slug) -> None:
    Build.objects.filter(slug=slug).delete()
    assert api.get(f"/apps/shop/slugs/{slug.id}/provenance").status == 404


def test_others_see_neither(stranger: Api, slug: Slug) -> None:
    for what in ("sbom", "provenance"):
        assert stranger.get(f"/apps/shop/slugs/{slug.id}/{what}").status == 404
