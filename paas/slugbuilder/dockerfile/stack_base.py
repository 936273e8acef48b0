"""A stack of the platform as a base image: `FROM paas/debian-13`.

In: its squashfs files, bound into the container.  Out: an image in buildah's store, made once per stack and digest.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..environment import architecture
from ..errors import BuildError
from .buildah import Buildah

PLACE = Path("/stacks")  # of the files: /stacks/DIGEST, without `sha256:`
ENV = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")


def offer(stacks: Mapping[str, Sequence[str]], buildah: Buildah, scratch: Path) -> None:
    """Make each stack an image by the names that a Dockerfile has for it."""
    for name, digests in stacks.items():
        version = hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]
        kept = f"localhost/paas/{name}:v{version}"
        if not buildah.has(kept):
            buildah.output.info(f"Making the stack {name} a base image")
            layout = write_layout(scratch / f"stack-{name}", digests)
            buildah.tag(buildah.pull(f"oci:{layout}"), kept)
        buildah.tag(kept, f"localhost/paas/{name}:latest")


def write_layout(folder: Path, digests: Sequence[str], place: Path = PLACE) -> Path:
    """Write an OCI layout with a layer per file; `digests` name the topmost first."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = [_layer(place / digest.removeprefix("sha256:"), blobs) for digest in reversed(digests)]
    diff_ids = [layer["digest"] for layer in layers]
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": {"Env": ENV, "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "a stack of the platform"} for _ in layers],  # buildah counts them
    }
    kind = "application/vnd.oci.image"
    described = _blob(config, f"{kind}.config.v1+json", blobs)
    manifest = {"schemaVersion": 2, "config": described, "layers": layers}
    index = {"schemaVersion": 2, "manifests": [_blob(manifest, f"{kind}.manifest.v1+json", blobs)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def _layer(squashfs: Path, blobs: Path) -> dict[str, Any]:
    draft = blobs / "draft"
    try:
        with draft.open("wb") as file:
            subprocess.run(["sqfs2tar", "--no-xattr", str(squashfs)], stdout=file, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        message = "The stack could not be made a base image: sqfs2tar (squashfs-tools-ng) failed on the host."
        raise BuildError("tool_missing", message) from error
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = draft.stat().st_size
    draft.rename(blobs / digest)
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}


def _blob(document: dict[str, Any], media_type: str, blobs: Path) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
