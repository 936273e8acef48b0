"""The image store as OCI clients see it: what apps push, and their releases for those who pull.

In: an app, digests, streams of bytes.  Out: blobs and manifests, rows that say whose they are; a pushed image deploys.
Blobs are kept once, whoever pushed them; an app can read only what it has pushed, mounted, or released.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from io import BufferedRandom
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from paas.controller.models import App, RegistryBlob, RegistryTag, Release, User
from paas.controller.selectors.images import image_path
from paas.controller.selectors.prebuilt import WEB
from paas.controller.selectors.pulling import documents, pulled_layers
from paas.controller.services.images import is_kept
from paas.controller.services.prebuilt import create_image_build
from paas.controller.services.registries import blobs
from paas.errors import Forbidden, InvalidParams, NotFound, RangeNotSatisfiable
from paas.oci.export import Conversions
from paas.oci.manifests import OCI_CONFIG, Index, Manifest, digest_of, media_type, parse

UPLOADS_KEPT = timedelta(days=1)
BLOBS_KEPT = timedelta(
    days=30
)  # since they were last read; tags keep their manifests, deployed images are kept apart


class BlobUnknown(NotFound):
    id = "blob_unknown"


class UploadUnknown(NotFound):
    id = "blob_upload_unknown"


class DigestInvalid(InvalidParams):
    id, status = "digest_invalid", 400


class QuotaExceeded(Forbidden):
    id = "quota_exceeded"


class ManifestBlobUnknown(InvalidParams):
    id, status = "manifest_blob_unknown", 404


def conversions() -> Conversions:
    return Conversions(Path(settings.PAAS.home) / "registry", settings.PAAS.registry_cache)


def uploads() -> Path:
    folder = Path(settings.PAAS.home) / "registry" / "uploads"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


# --- what an app has -------------------------------------------------------------------------------------------


def find_blob(app: App, digest: str) -> tuple[RegistryBlob, Path]:
    """Return a blob that an app may read. Raises BlobUnknown."""
    row = app.registry_blobs.filter(digest=digest).first()
    if row is None:
        raise BlobUnknown(f"{app.name} has no blob {digest[:80]}; push it first.")
    squashfs = row.converted_from
    path = conversions().file(image_path(squashfs)) if squashfs else blobs().path(digest)
    if not path.exists():
        raise BlobUnknown(f"The blob {digest[:19]} of {app.name} is gone; push it again.")
    touch(row)
    return row, path


def touch(row: RegistryBlob) -> None:
    """Note that a blob was asked for, once an hour."""
    now = timezone.now()
    if now - row.used_at > timedelta(hours=1):
        RegistryBlob.objects.filter(id=row.id).update(used_at=now)
    if not row.converted_from:
        with contextlib.suppress(FileNotFoundError):
            os.utime(blobs().path(row.digest))


def own(app: App, digest: str, size: int, *, kind: str = "", converted_from: str = "") -> None:
    """Let an app read a blob."""
    values = {"size": size, "media_type": kind, "converted_from": converted_from, "used_at": timezone.now()}
    RegistryBlob.objects.update_or_create(app=app, digest=digest, defaults=values)


def room(app: App) -> int:
    """Return how many bytes an app may still push."""
    used = app.registry_blobs.filter(converted_from="").aggregate(sum=Sum("size"))["sum"] or 0
    left: int = settings.PAAS.registry_quota - used
    return left


# --- pushing ---------------------------------------------------------------------------------------------------


def begin_upload(app: App) -> UUID:
    """Open an upload and return its id."""
    upload = uuid4()
    upload_path(app, upload).touch(mode=0o600, exist_ok=False)
    return upload


def upload_path(app: App, upload: UUID) -> Path:
    return uploads() / f"{app.id}.{upload}"


def upload_size(app: App, upload: UUID) -> int:
    """Return how many bytes have come. Raises UploadUnknown."""
    try:
        return upload_path(app, upload).stat().st_size
    except FileNotFoundError as error:
        raise UploadUnknown(
            "That upload is not open: it was finished, or given up; start another."
        ) from error


def cancel_upload(app: App, upload: UUID) -> None:
    upload_size(app, upload)
    upload_path(app, upload).unlink(missing_ok=True)


def append(app: App, upload: UUID, chunks: Iterable[bytes], start: int | None = None) -> int:
    """Add bytes to an upload and return its size. `start`: where they belong, which must be its end."""
    upload_size(app, upload)
    limit = min(settings.PAAS.image_max, room(app))
    with _locked(upload_path(app, upload)) as file:
        size = file.seek(0, os.SEEK_END)
        if start is not None and start != size:
            raise RangeNotSatisfiable(f"The upload has {size} bytes; go on from there.")
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise QuotaExceeded(_over(app))
            file.write(chunk)
    return size


def _over(app: App) -> str:
    megabytes = settings.PAAS.image_max // 1024**2
    return (
        f"{app.name} is over its limit of pushed bytes ({settings.PAAS.registry_quota // 1024**2} MiB, "
        f"{megabytes} MiB for one blob). Push smaller layers."
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BufferedRandom]:
    """Open an upload for one writer at a time."""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def finish_upload(app: App, upload: UUID, digest: str) -> int:
    """Keep an upload as a blob of an app and return its size. Raises DigestInvalid; then it can go on."""
    upload_size(app, upload)
    path, target = upload_path(app, upload), blob_path(digest)
    with _locked(path) as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            raise DigestInvalid(f"The bytes sent have the digest {found}, not {digest}; send them again.")
        file.flush()
        os.fsync(file.fileno())
        size = file.seek(0, os.SEEK_END)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    os.utime(target)
    own(app, digest, size)
    return size


def blob_path(digest: str) -> Path:
    """Return where a blob belongs. Raises DigestInvalid for what is no digest."""
    try:
        return blobs().path(digest)
    except Exception as error:
        raise DigestInvalid(
            f"{digest[:100]!r} is not a digest: sha256: and 64 hexadecimal digits."
        ) from error


def mount(app: App, other: App, digest: str) -> bool:
    """Let an app have a blob of another one that the caller may read. False: it is not there, and has to be sent."""
    row = other.registry_blobs.filter(digest=digest, converted_from="").first()
    if row is None or not blobs().path(digest).exists() or row.size > room(app):
        return False
    touch(row)
    own(app, digest, row.size)
    return True


def put_manifest(user: User, app: App, process_type: str, reference: str, data: bytes, kind: str) -> str:
    """Keep a manifest; one with a tag is deployed. Returns its digest. Raises ImageError, ManifestBlobUnknown."""
    document = parse(data)
    digest = digest_of(data)
    tagged = not reference.startswith("sha256:")
    if not tagged and reference != digest:
        raise DigestInvalid(f"The manifest has the digest {digest}, not {reference}.")
    parts = _parts(document)
    known = set(app.registry_blobs.filter(digest__in=parts).values_list("digest", flat=True))
    missing = [part for part in parts if part not in known]
    if missing:
        raise ManifestBlobUnknown(
            f"{app.name} has no blob {missing[0]}, which the manifest names; push it first."
        )
    if len(data) > room(app):
        raise QuotaExceeded(_over(app))
    blobs().put(data)
    with transaction.atomic():
        own(app, digest, len(data), kind=kind or media_type(document))
        if tagged:
            source = f"{app.name}/{process_type}:{reference}"
            create_image_build(user, app, source, process_type=process_type, manifest=digest)
            RegistryTag.objects.update_or_create(
                app=app, process_type=process_type, tag=reference, defaults={"digest": digest}
            )
    return digest


def _parts(document: Manifest | Index) -> list[str]:
    if isinstance(document, Index):
        return [one.digest for one in document.manifests]
    return [document.config.digest, *(layer.digest for layer in document.layers)]


# --- pulling ---------------------------------------------------------------------------------------------------


def release_manifest(release: Release, process_type: str = WEB) -> bytes:
    """Return the manifest of a release, converting its layers the first time, and let its app read all of it."""
    app, store = release.app, conversions()
    squashed = pulled_layers(release, process_type)
    for digest in squashed:
        if not is_kept(digest):
            raise NotFound(
                f"The layers of v{release.version} are gone from the image store.", resource="release"
            )
    converted = [store.layer(image_path(digest)) for digest in squashed]
    config, manifest = documents(release, process_type, converted)
    for layer, source in zip(converted, squashed, strict=True):
        own(app, layer.digest, layer.size, converted_from=source)
    own(app, blobs().put(config), len(config), kind=OCI_CONFIG)
    own(app, blobs().put(manifest), len(manifest), kind=media_type(parse(manifest)))
    return manifest


def pushed_manifest(app: App, process_type: str, reference: str) -> tuple[bytes, str]:
    """Return a manifest that was pushed, by tag or digest, and its media type. Raises NotFound."""
    digest = reference
    if not reference.startswith("sha256:"):
        tag = app.registry_tags.filter(process_type=process_type, tag=reference).first()
        digest = tag.digest if tag else ""
    row = app.registry_blobs.filter(digest=digest).exclude(media_type="").first()
    if row is None or row.media_type == OCI_CONFIG:
        raise NotFound(f"{app.name} has no image {reference[:80]}.", id="manifest_unknown")
    touch(row)
    return blobs().read(digest, "The manifest"), row.media_type


# --- housekeeping ----------------------------------------------------------------------------------------------


def sweep(now: datetime) -> int:
    """Forget blobs that nobody has read for long and no tag needs, and delete the files that no app has."""
    needed = _tagged()
    old = RegistryBlob.objects.filter(used_at__lt=now - BLOBS_KEPT).exclude(digest__in=needed)
    old.delete()
    for entry in uploads().iterdir():
        _delete_old(entry, now - UPLOADS_KEPT)
    wanted = set(RegistryBlob.objects.values_list("digest", flat=True))
    doomed = 0
    for entry in (blobs().folder / "sha256").glob("*"):
        if f"sha256:{entry.name}" not in wanted:
            doomed += _delete_old(entry, now - UPLOADS_KEPT)
    return doomed + conversions().make_room()


def _tagged() -> set[str]:
    needed: set[str] = set()
    for digest in RegistryTag.objects.values_list("digest", flat=True).distinct():
        with contextlib.suppress(Exception):  # a manifest that is gone needs nothing
            needed |= {digest, *_parts(parse(blobs().read(digest, "The manifest")))}
    return needed


def _delete_old(path: Path, before: datetime) -> int:
    try:
        if path.stat().st_mtime < before.timestamp():
            path.unlink()
            return 1
    except FileNotFoundError:
        pass
    return 0
