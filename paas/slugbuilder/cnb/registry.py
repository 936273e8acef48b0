"""Images of buildpacks, fetched from a registry or read from an OCI layout in an archive.

In: a name at a registry, or a file of the repository (`pack buildpack package --format file`).  Out: configuration and
layers in a folder, each checked against its digest. No credentials: what needs some lies in the repository.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import tarfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.error import HTTPError
from urllib.parse import urlencode

from ..environment import architecture
from ..heroku.fetching import MOST_BYTES, Redirects
from ..heroku.references import IMAGE
from .oci_image import Unusable

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SMALL = 4 * 1024**2  # bytes of a manifest or a configuration
CHUNK = 256 * 1024
INDEXES = 2  # one of an archive, and one for several machines
TOO_LARGE = (
    f"what it holds is larger than a buildpack may be ({MOST_BYTES // 1024**2} MB in all): name a buildpackage, not a "
    "builder"
)
HUBS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class Blobs(Protocol):
    """Where an image's parts come from."""

    def manifest(self, reference: str) -> bytes: ...

    def blob(self, digest: str, target: Path, most: int) -> Path: ...


@dataclass(frozen=True)
class Image:
    config: Mapping[str, Any]
    layers: tuple[Path, ...]

    def opened(self) -> Iterator[IO[bytes]]:
        for layer in self.layers:
            with layer.open("rb") as file:
                yield file


def read_image(source: Blobs, reference: str, folder: Path, most: int) -> Image:
    """Bring an image's configuration and layers; of several, the one for this machine. Raises Unusable."""
    document = _document(source.manifest(reference))
    for _ in range(INDEXES):
        if isinstance(document.get("manifests"), list):
            document = _document(source.manifest(_fitting(document["manifests"])))
    config, layers = document.get("config"), document.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise Unusable("its manifest names no configuration and layers")
    folder.mkdir(parents=True)
    about = _document(source.blob(_digest(config), folder / "config", SMALL).read_bytes())
    files = []
    for number, layer in enumerate(layers):
        if not isinstance(layer, dict) or "zstd" in str(layer.get("mediaType")):
            raise Unusable("one of its layers is packed with zstd, which is not read here: pack it with gzip")
        files.append(source.blob(_digest(layer), folder / f"layer-{number}", most))
        most -= files[-1].stat().st_size
    return Image(about, tuple(files))


def _fitting(manifests: list[Any]) -> str:
    machine = architecture()
    entries = [one for one in manifests if isinstance(one, dict)]
    for one in entries:
        place = one.get("platform")
        if not isinstance(place, dict):
            return _digest(one)
        if place.get("os") in (None, "linux") and place.get("architecture") in (None, machine):
            return _digest(one)
    raise Unusable(f"it has no image for linux/{machine}")


def _digest(descriptor: Mapping[str, Any]) -> str:
    digest = descriptor.get("digest")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise Unusable("its manifest names a part without a sha256 digest")
    return digest


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"its manifest is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise Unusable("its manifest is no object")
    return found


def copy_checked(source: IO[bytes], target: Path, digest: str, most: int, deadline: float) -> Path:
    """Write a part of an image. Raises Unusable when it is larger, slower or other than it should be."""
    hashed, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while piece := source.read(CHUNK):
            size += len(piece)
            hashed.update(piece)
            if size > most:
                raise Unusable(TOO_LARGE)
            if time.monotonic() > deadline:
                raise Unusable("it took too long")
            file.write(piece)
    if f"sha256:{hashed.hexdigest()}" != digest:
        raise Unusable(f"what came for {digest[:19]} has another digest")
    return target


@dataclass
class Registry:
    """One repository of a registry, by the distribution API, without an account."""

    base: str
    cafile: str | None
    schemes: tuple[str, ...]
    deadline: float
    _token: str = ""
    _opener: urllib.request.OpenerDirector = field(init=False)

    def __post_init__(self) -> None:
        trust = ssl.create_default_context(cafile=self.cafile)
        self._opener = urllib.request.build_opener(
            Redirects(self.schemes), urllib.request.HTTPSHandler(context=trust)
        )

    def manifest(self, reference: str) -> bytes:
        with self._get(f"{self.base}/manifests/{reference}") as answer:
            data: bytes = answer.read(SMALL + 1)
        if len(data) > SMALL:
            raise Unusable("its manifest is too large")
        if DIGEST.fullmatch(reference) and f"sha256:{hashlib.sha256(data).hexdigest()}" != reference:
            raise Unusable(f"what came for {reference[:19]} has another digest")
        return data

    def blob(self, digest: str, target: Path, most: int) -> Path:
        with self._get(f"{self.base}/blobs/{digest}") as answer:
            return copy_checked(answer, target, digest, most, self.deadline)

    def _get(self, url: str) -> Any:
        try:
            return self._open(url)
        except HTTPError as error:
            with error:
                challenge = error.headers.get("WWW-Authenticate", "") if error.code == 401 else ""
                if not challenge.lower().startswith("bearer ") or self._token:
                    raise Unusable(f"the registry answered {error.code} ({error.reason})") from error
        self._token = self._fetch_token(challenge)
        try:
            return self._open(url)
        except HTTPError as error:
            with error:
                raise Unusable(f"the registry answered {error.code} ({error.reason})") from error

    def _open(self, url: str) -> Any:
        request = urllib.request.Request(url, headers={"Accept": ", ".join(MANIFESTS)})  # noqa: S310
        if self._token:  # a registry redirects to storage, which must not see it
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return self._opener.open(request, timeout=30)

    def _fetch_token(self, challenge: str) -> str:
        values = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = values.pop("realm", "")
        if realm.partition(":")[0] not in self.schemes:
            raise Unusable(f"its registry sends to {realm[:100]!r} for a token, which may not be asked")
        query = urlencode({name: values[name] for name in ("service", "scope") if name in values})
        try:
            with self._opener.open(f"{realm}?{query}", timeout=30) as answer:
                found = _document(answer.read(SMALL))
        except HTTPError as error:
            with error:
                raise Unusable(f"the registry gives no token without an account ({error.code})") from error
        return str(found.get("token") or found.get("access_token") or "")


def open_registry(
    place: str, schemes: tuple[str, ...], cafile: str | None, deadline: float
) -> tuple[Registry, str]:
    """Return the repository that `docker://HOST/NAME[:TAG][@DIGEST]` names, and tag or digest."""
    found = IMAGE.fullmatch(place)
    if found is None:
        raise Unusable("it is written docker://HOST/NAME, then :TAG or @sha256:DIGEST")
    host, name = found["host"], found["name"]
    if host in HUBS and "/" not in name:
        name = f"library/{name}"
    scheme = "https" if "https" in schemes else "http"
    base = f"{scheme}://{HUBS.get(host, host)}/v2/{name}"
    return Registry(base, cafile, schemes, deadline), found["digest"] or found["tag"] or "latest"


@dataclass(frozen=True)
class Archive:
    """An OCI layout in a tar, as `pack` and `skopeo copy … oci-archive:` write it."""

    file: Path
    deadline: float

    def manifest(self, reference: str) -> bytes:
        """`reference` is a digest, or empty: the only image of the layout."""
        with self._open(
            "index.json" if not reference else f"blobs/sha256/{reference.partition(':')[2]}"
        ) as file:
            return file.read(SMALL)

    def blob(self, digest: str, target: Path, most: int) -> Path:
        with self._open(f"blobs/sha256/{digest.partition(':')[2]}") as file:
            return copy_checked(file, target, digest, most, self.deadline)

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with tarfile.open(self.file, "r:") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is not None and member.name.removeprefix("./").lstrip("/") == name:
                        yield content
                        return
        except tarfile.TarError as error:
            raise Unusable(f"it is no archive of an OCI image ({error})") from error
        raise Unusable(f"it has no {name}: it is no OCI image in an archive")
