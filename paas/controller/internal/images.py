"""The image store and build sources for agents: squashfs files by digest, tars by build."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from paas.controller.internal.machines import answer, chunks, machine
from paas.controller.services.builds import source_path
from paas.controller.services.images import image_path, store_image
from paas.errors import BadRequest, NotFound


@machine
def image(request: HttpRequest, digest: str) -> HttpResponseBase:
    """GET and HEAD an image, PUT one that has the digest it says."""
    path = image_path(digest)
    if request.method == "PUT":
        if not path.exists():
            store_image(digest, chunks(request))
        return answer(b"{}", status=201)
    if request.method not in {"GET", "HEAD"}:
        raise BadRequest("Images can be read with GET and HEAD and stored with PUT.")
    if not path.exists():
        raise NotFound(f"There is no image {digest}.", resource="image")
    if request.method == "HEAD":
        return HttpResponse(headers={"Content-Length": str(path.stat().st_size)})
    return FileResponse(path.open("rb"), content_type="application/octet-stream")


@machine
def source(request: HttpRequest, build_id: UUID) -> HttpResponseBase:
    path = source_path(build_id)
    if not path.exists():
        raise NotFound("The source of that build is gone: the build is over.", resource="source")
    return FileResponse(path.open("rb"), content_type="application/x-tar")
