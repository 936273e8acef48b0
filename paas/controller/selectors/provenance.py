"""What a slug is and where it came from, for those who have to prove it.

In: a slug.  Out: its bill of materials (CycloneDX, as the builder left it in the slug) and the statement of its
provenance (in-toto v1 with SLSA v1, https://slsa.dev/spec/v1.0/provenance), made of the build's rows.
"""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from typing import Any

from paas.controller.models import Build, Slug
from paas.controller.selectors.images import image_path
from paas.errors import NotFound, Unavailable

SBOM_PATH = "app/.paas/sbom.cdx.json"
SBOM_MAX = 64 * 1024**2
READ_SECONDS = 20.0
BUILD_TYPE = "urn:paas:build:v1"


def bill_of_materials(slug: Slug) -> dict[str, Any]:
    """Return the packages in a slug. Raises NotFound for a slug that has no such list: older ones, and images."""
    document: dict[str, Any] = json.loads(_read(slug, SBOM_PATH))
    document["metadata"]["component"] |= {
        "name": slug.app.name,
        "version": slug.commit or str(slug.id),
        "hashes": [{"alg": "SHA-256", "content": slug.digest.removeprefix("sha256:")}],
    }
    return document


def _read(slug: Slug, path: str) -> bytes:
    """Return a file of a slug's image."""
    command = ["sqfscat", "-no-exit-code", str(image_path(slug.digest)), path]
    try:
        done = subprocess.run(command, capture_output=True, timeout=READ_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable("The slug cannot be read at the moment; try again.") from error
    if not done.stdout or len(done.stdout) > SBOM_MAX:
        raise NotFound(
            "This slug has no bill of materials: it was made from a prebuilt image or by an older builder. "
            "Deploy the app again to get one.",
            resource="sbom",
        )
    return done.stdout


def provenance(slug: Slug) -> dict[str, Any]:
    """Return the statement. Raises NotFound when the build that made the slug is not known any more."""
    build = Build.objects.filter(slug=slug).select_related("app").first()
    if build is None:
        raise NotFound("The build of this slug is not kept any more.", resource="provenance")
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": slug.app.name, "digest": _digest(slug.digest)}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "app": slug.app.name,
                    "source": build.origin,
                    "commit": build.commit,
                    "stack": build.stack,
                },
                "internalParameters": {"buildpacks": slug.buildpacks},
                "resolvedDependencies": _dependencies(build),
            },
            "runDetails": {
                "builder": {"id": f"urn:paas:builder:{build.materials.get('builder', 'unknown')}"},
                "metadata": {
                    "invocationId": str(build.id),
                    "startedOn": _time(build.started_at),
                    "finishedOn": _time(build.finished_at),
                },
            },
        },
    }


def _dependencies(build: Build) -> list[dict[str, Any]]:
    source = [{"name": "source", "digest": {"gitCommit": build.commit}}] if build.commit else []
    builder = build.materials.get("builder")
    layers = [
        {"name": f"stack {build.stack}", "digest": _digest(one)} for one in build.materials.get("layers", [])
    ]
    return [*source, *([{"name": "builder", "digest": _digest(builder)}] if builder else []), *layers]


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
