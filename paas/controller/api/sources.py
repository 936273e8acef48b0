"""Sources: where a client without git leaves an archive for a build.

In: `POST /apps/APP/sources`, then one PUT of an archive to the URL from it.  Out: a file under the data folder.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.rendering import PayloadTooLarge, origin
from paas.controller.api.resource import Resource, actor, app_of
from paas.controller.api.secrets import sign, unsign
from paas.controller.api.streams import plain_view
from paas.controller.models import App, Build, User
from paas.controller.services.builds import create_build
from paas.controller.services.source_fetching import (
    build_from_url,
    check_digest,
    parse_checksum,
    tell_submodules,
)
from paas.errors import BadRequest, InvalidParams, NotFound
from paas.sources.archives import normalize

SOURCE_LIMIT = 500 * 1024**2  # bytes of the compressed upload
SOURCE_SECONDS = 3600  # how long the URLs are good for
CHUNK = 256 * 1024


class SourceBlobSerializer(serializers.Serializer[Any]):
    get_url = serializers.URLField()
    put_url = serializers.URLField()


class SourceSerializer(serializers.Serializer[Any]):
    """Where to PUT a tar or zip archive, and what to give POST /apps/APP/builds as source_blob.url."""

    source_blob = SourceBlobSerializer()


class Sources(Resource):
    @extend_schema(operation_id="createSource", request=None, responses={201: SourceSerializer})
    def post(self, request: Request) -> Response:
        """Return URLs for uploading the source of a build."""
        return render_source(request)


class AppSources(Resource):
    @extend_schema(operation_id="createAppSource", request=None, responses={201: SourceSerializer})
    def post(self, request: Request, app: str) -> Response:
        """Return URLs for uploading the source of a build of an app."""
        app_of(request, app)
        return render_source(request)


def render_source(request: Request) -> Response:
    forget_old_uploads()
    token = sign("source", {"id": str(uuid4()), "user": str(actor(request).id)})
    url = f"{origin(request._request)}/source-blobs/{token}"
    return Response({"source_blob": {"get_url": url, "put_url": url}}, status=201)


@plain_view("GET", "PUT")
def source_blob(request: HttpRequest, token: str) -> HttpResponseBase:
    """Take or give back the uploaded file of a source."""
    file = upload_path(unsign("source", token, SOURCE_SECONDS)["id"])
    if request.method == "PUT":
        receive(request, file)
        return HttpResponse(status=200)
    if not file.exists():
        raise NotFound(
            "Nothing has been uploaded to this source yet; PUT a tar or zip archive to its put_url."
        )
    return FileResponse(file.open("rb"), content_type="application/gzip")


def uploads() -> Path:
    folder: Path = settings.PAAS.home / "uploads"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def upload_path(source_id: str) -> Path:
    return uploads() / f"{UUID(source_id)}.tgz"


def receive(request: HttpRequest, file: Path) -> None:
    """Write the body to `file`, which appears whole or not at all."""
    expected = int(request.headers.get("Content-Length") or -1)
    if expected < 0:
        raise BadRequest("Send the file with a Content-Length header.")
    if expected > SOURCE_LIMIT:
        raise PayloadTooLarge(
            f"The source is over the limit of {SOURCE_LIMIT} bytes. Leave out what is not needed."
        )
    partial = file.with_name(f"{file.name}.{uuid4().hex[:8]}")
    try:
        with partial.open("xb") as stream:
            while chunk := request.read(CHUNK):
                stream.write(chunk)
        if partial.stat().st_size != expected:
            raise BadRequest("The upload ended early; nothing was kept. Send it again.")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def forget_old_uploads() -> None:
    """Delete files whose URLs have expired."""
    oldest = time.time() - 2 * SOURCE_SECONDS
    for entry in os.scandir(uploads()):
        if entry.stat().st_mtime < oldest:
            Path(entry.path).unlink(missing_ok=True)


def build_of_blob(user: User, app: App, blob: Mapping[str, Any]) -> Build:
    """Queue the build of an upload of this platform, which is looked at now, or of a URL, which is fetched later."""
    url, checksum = blob["url"], parse_checksum(blob.get("checksum") or "")
    version, message = blob.get("version") or "", blob.get("version_description") or ""
    if "/source-blobs/" not in url:
        return build_from_url(user, app, url, checksum, version, message)
    upload = uploaded_file(url, user.id)
    check_digest(file_digest(upload) if checksum else "", checksum)
    tar = uploads() / f"{uuid4()}.tar"
    try:
        found = normalize(upload, tar)
        build = create_build(
            user, app, source_file=tar, commit=version or found.commit, commit_message=message, origin="api"
        )
    finally:
        tar.unlink(missing_ok=True)  # the build has linked it
    tell_submodules(build, found.submodules)
    return build


def file_digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def uploaded_file(url: str, user_id: UUID) -> Path:
    """Return the file behind a source URL that this platform handed to this account. Raises InvalidParams."""
    token = url.rpartition("/source-blobs/")[2]
    try:
        content = unsign("source", token, SOURCE_SECONDS)
    except NotFound as error:
        raise InvalidParams(
            "source_blob.url must be a URL from POST /apps/APP/sources that has not expired; upload the source there."
        ) from error
    file = upload_path(content["id"])
    if content["user"] != str(user_id) or not file.exists():
        raise InvalidParams(
            "Nothing has been uploaded to source_blob.url yet; PUT a tar or zip archive there first."
        )
    return file
