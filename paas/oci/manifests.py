"""Manifests and indexes, of OCI and of Docker (version 2, schema 2).

In: their bytes.  Out: frozen descriptors, and the one image of an index that this host can run. Pure.
Formats: OCI image spec 1.1 manifest.md, image-index.md; Docker's image manifest v2.
"""

from __future__ import annotations

import hashlib
import platform
from typing import Annotated, Any

import msgspec

from paas.oci.errors import ImageError
from paas.oci.references import DIGEST
from runtime import shapes

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFEST_MAX = 4 * 1024**2  # bytes: what registries take, OCI distribution spec 1.1
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}

Digest = Annotated[str, msgspec.Meta(pattern=rf"^{DIGEST.pattern}\Z")]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**50)]


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Base of what others wrote: camel case, unknown fields are theirs."""


class Platform(Wire, frozen=True):
    architecture: str = ""
    os: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(Wire, frozen=True):
    """A blob by content."""

    digest: Digest
    size: Bytes
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Manifest(Wire, frozen=True):
    """One image: its configuration and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = ""
    schema_version: int = 2


class Index(Wire, frozen=True):
    """One image for several platforms."""

    manifests: tuple[Descriptor, ...]
    media_type: str = ""
    schema_version: int = 2


class _Shape(Wire, frozen=True):
    """Enough of a document to tell what it is: mediaType is optional in OCI's."""

    media_type: str = ""
    manifests: tuple[Any, ...] | None = None
    layers: tuple[Any, ...] | None = None
    schema_version: int = 2


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse(data: bytes) -> Manifest | Index:
    """Read a manifest or an index. Raises ImageError."""
    if len(data) > MANIFEST_MAX:
        raise ImageError(f"The manifest has {len(data)} bytes; at most {MANIFEST_MAX} are taken.")
    try:
        shape = shapes.decode(data, _Shape)
        if shape.manifests is not None and shape.layers is None:
            return shapes.decode(data, Index)
        if shape.layers is not None:
            return shapes.decode(data, Manifest)
    except ValueError as error:
        raise ImageError(f"The image's manifest cannot be read ({error}).") from error
    raise ImageError(
        "The manifest is neither an OCI image nor a Docker image of version 2, schema 2; make it with a current tool."
    )


def media_type(document: Manifest | Index) -> str:
    """Return what a document is, whether it says so or not."""
    return document.media_type or (OCI_INDEX if isinstance(document, Index) else OCI_MANIFEST)


def host_platform() -> Platform:
    machine = platform.machine()
    return Platform(MACHINES.get(machine, machine), "linux")


def choose(index: Index, wanted: Platform) -> Descriptor:
    """Return the image of an index for this platform. Raises ImageError with the list of those there are."""
    known = [one for one in index.manifests if one.platform and one.platform.os != "unknown"]
    for one in known:
        if one.platform and (one.platform.os, one.platform.architecture) == (wanted.os, wanted.architecture):
            return one
    if len(index.manifests) == 1 and not known:  # an archive's index names no platform; the image itself does
        return index.manifests[0]
    have = (
        ", ".join(sorted({str(one.platform) for one in known})) or "none that says for which platform it is"
    )
    raise ImageError(
        f"The image is not made for {wanted}; it has: {have}. Build it for {wanted} (--platform {wanted}).",
        id="image_platform",
    )


def check_platform(found: Platform, wanted: Platform) -> None:
    """Raise ImageError when an image is for other machines than this host."""
    if (found.os or "linux", found.architecture or wanted.architecture) != (wanted.os, wanted.architecture):
        raise ImageError(
            f"The image is made for {found}, this host is {wanted}. Build it for {wanted} (--platform {wanted}).",
            id="image_platform",
        )
