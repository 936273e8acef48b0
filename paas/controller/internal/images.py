"""The image store and build sources for agents: squashfs files by digest, tars by build."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from paas.controller.internal.machines import answer, chunks, host_of, machine
from paas.controller.models import Build
from paas.controller.selectors.images import image_path
from paas.controller.services.builds import source_path
from paas.controller.services.images import is_kept, store_image
from paas.errors import BadRequest, NotFound


@machine
def image(request: HttpRequest, digest: str) -> HttpResponseBase:
    """GET and HEAD an image, PUT one that has the digest it says."""
    host_of(request)
    path = image_path(digest)
    if request.method == "PUT":
        if not is_kept(digest):
            store_image(digest, chunks(request))
        return answer(b"{}", status=201)
    if request.method not in {"GET", "HEAD"}:
        raise BadRequest("Images can be read with GET and HEAD and stored with PUT.")
    if request.method == "HEAD" and is_kept(digest):
        return HttpResponse(headers={"Content-Length": str(path.stat().st_size)})
    return _file(path, "application/octet-stream", f"There is no image {digest}.", "image")


@machine
def source(request: HttpRequest, build_id: UUID) -> HttpResponseBase:
    """GET the source of a build that this very host was given."""
    missing = "The source of that build is gone: the build is over."
    if not Build.objects.filter(id=build_id, host=host_of(request)).exists():
        raise NotFound(missing, resource="source")
    return _file(source_path(build_id), "application/x-tar", missing, "source")


def _file(path: Path, kind: str, missing: str, resource: str) -> FileResponse:
    try:
        return FileResponse(path.open("rb"), content_type=kind)
    except FileNotFoundError as error:
        raise NotFound(missing, resource=resource) from error
