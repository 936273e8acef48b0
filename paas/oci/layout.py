"""Images on disk: a store of blobs by digest, and the OCI layouts that name what is in it.

In: a digest, or the folder of a layout.  Out: checked manifests, configurations and layers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from paas.oci.errors import ImageError, damaged
from paas.oci.layers import Layer
from paas.oci.manifests import (
    MANIFEST_MAX,
    Index,
    Manifest,
    check_platform,
    choose,
    digest_of,
    host_platform,
    parse,
)
from paas.oci.references import DIGEST
from paas.oci.settings import Config, parse_config


@dataclass(frozen=True)
class Image:
    """One image whose blobs are all in a store. `digest` is its manifest's."""

    digest: str
    manifest: Manifest
    config: Config
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Blobs:
    """Files by content under `folder`/sha256, as skopeo's --dest-shared-blob-dir has them."""

    folder: Path

    def path(self, digest: str) -> Path:
        """Return where a blob is or would be. Raises ImageError for what is no digest."""
        if not DIGEST.fullmatch(digest):
            raise ImageError(f"{digest[:100]!r} is not a digest: sha256: and 64 hexadecimal digits.")
        return self.folder / "sha256" / digest.removeprefix("sha256:")

    def read(self, digest: str, what: str) -> bytes:
        """Return a small blob whose content has its digest. Raises ImageError."""
        file = self.path(digest)
        try:
            if file.stat().st_size > MANIFEST_MAX:
                raise ImageError(f"{what} has more than {MANIFEST_MAX} bytes, which no tool makes.")
            data = file.read_bytes()
        except FileNotFoundError as error:
            raise ImageError(
                f"{what} ({digest[:19]}) is not there; push or import the image again."
            ) from error
        if digest_of(data) != digest:
            file.unlink(missing_ok=True)
            raise damaged(what)
        return data

    def put(self, data: bytes) -> str:
        """Keep a small blob and return its digest."""
        digest = digest_of(data)
        file = self.path(digest)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            half = file.with_name(f".{file.name}.half")
            half.write_bytes(data)
            half.replace(file)
        return digest

    def image(self, digest: str) -> Image:
        """Return the image of a manifest, or the one of an index that this host can run. Raises ImageError."""
        document = parse(self.read(digest, "The image's manifest"))
        if isinstance(document, Index):
            digest = choose(document, host_platform()).digest
            document = parse(self.read(digest, "The image's manifest"))
            if isinstance(document, Index):
                raise ImageError(
                    "The image's index leads to another index; push one image, or one index of images."
                )
        config = parse_config(self.read(document.config.digest, "The image's configuration"))
        check_platform(config.platform, host_platform())
        diff_ids = config.diff_ids
        if diff_ids and len(diff_ids) != len(document.layers):
            raise ImageError(
                f"The image has {len(document.layers)} layers and names {len(diff_ids)} in its configuration."
            )
        layers = tuple(
            Layer(self.path(one.digest), one.digest, diff_ids[number] if diff_ids else "")
            for number, one in enumerate(document.layers)
        )
        return Image(digest, document, config, layers)


def layout_digest(layout: Path) -> str:
    """Return the digest of the only image of an OCI layout. Raises ImageError."""
    try:
        (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
        return str(entry["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"What was fetched is no OCI layout of one image ({error}).") from error
