"""The OCI distribution API (spec 1.1) on the image store: pull releases, push images that deploy.

In: requests under /v2/.  Out: manifests, blobs, tags, uploads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from paas.controller.api.registry.access import (
    TOKEN_SECONDS,
    Repository,
    caller_of,
    issue,
    pushable,
    repository_of,
)
from paas.controller.api.registry.answers import blob, endpoint
from paas.controller.models import Release
from paas.controller.selectors.apps import access_app, visible_apps
from paas.controller.selectors.releases import find_release, releases
from paas.controller.services import registry
from paas.errors import BadRequest, NotFound
from paas.oci.manifests import INDEXES, MANIFEST_MAX, OCI_INDEX, OCI_MANIFEST, digest_of

CHUNK = 256 * 1024
TAGS_MAX = 1000
CONTENT_RANGE = re.compile(r"(?:bytes )?(\d{1,15})-(\d{1,15})(?:/.*)?")


@endpoint("GET", "HEAD")
def ping(request: HttpRequest) -> HttpResponseBase:
    """Say that this is a registry, and to whom."""
    caller_of(request)
    return JsonResponse({})


@endpoint("GET", "POST")
def token(request: HttpRequest) -> HttpResponseBase:
    """Give a token for the registry to who shows one of the platform's. What it may do is looked up at each use."""
    if request.method == "POST" and "Authorization" not in request.headers:
        # OAuth 2's password grant, which some clients try first.
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {request.POST.get('password', '')}"
        request.__dict__.pop("headers", None)
    text = issue(caller_of(request))
    return JsonResponse({"token": text, "access_token": text, "expires_in": TOKEN_SECONDS})


@endpoint("GET")
def catalog(request: HttpRequest) -> HttpResponseBase:
    """List the repositories of the apps that the caller works on."""
    user = caller_of(request).user
    names = [app.name for app in visible_apps(user)]
    return JsonResponse({"repositories": names[:TAGS_MAX]})


@endpoint("GET", "HEAD", "PUT")
def manifest(request: HttpRequest, name: str, reference: str) -> HttpResponseBase:
    """Give a release's manifest (APP:v12, APP:latest) or a pushed one; take one, which deploys it."""
    repository = repository_of(request, name)
    if request.method == "PUT":
        return _put_manifest(request, pushable(repository), reference)
    data, kind = _manifest(repository, reference)
    headers = {"Docker-Content-Digest": digest_of(data), "Content-Length": str(len(data))}
    return HttpResponse(b"" if request.method == "HEAD" else data, content_type=kind, headers=headers)


def _manifest(repository: Repository, reference: str) -> tuple[bytes, str]:
    app = repository.app
    if repository.process_type or reference.startswith("sha256:"):
        return registry.pushed_manifest(app, repository.process_type, reference)
    return registry.release_manifest(_release(repository, reference)), OCI_MANIFEST


def _release(repository: Repository, reference: str) -> Release:
    """Return the release of a tag: `v12`, or `latest` for the one that serves."""
    try:
        if not re.fullmatch(r"v\d{1,9}|latest", reference):
            raise NotFound(f"Tags of {repository.name} are latest and v1, v2, …")
        found = find_release(repository.app, "current" if reference == "latest" else reference)
        found.app = repository.app
        return found
    except NotFound as error:
        raise NotFound(error.message, id="manifest_unknown") from error


def _put_manifest(request: HttpRequest, repository: Repository, reference: str) -> HttpResponseBase:
    data = b"".join(_body(request, MANIFEST_MAX))
    kind = request.headers.get("Content-Type", "")
    user = request.caller.user  # type: ignore[attr-defined]
    digest = registry.put_manifest(user, repository.app, repository.process_type, reference, data, kind[:100])
    return HttpResponse(
        status=201,
        headers={"Location": f"/v2/{repository.name}/manifests/{digest}", "Docker-Content-Digest": digest},
    )


@endpoint("GET", "HEAD")
def one_blob(request: HttpRequest, name: str, digest: str) -> HttpResponseBase:
    """Give a blob, whole or in part."""
    repository = repository_of(request, name)
    registry.blob_path(digest)
    _, path = registry.find_blob(repository.app, digest)
    return blob(request, path, digest)


@endpoint("POST")
def begin(request: HttpRequest, name: str) -> HttpResponseBase:
    """Begin an upload; or end it at once (`digest`), or take the blob of another app (`mount`, `from`)."""
    repository = pushable(repository_of(request, name))
    digest, source = request.GET.get("mount", ""), request.GET.get("from", "")
    if digest and source and _mounted(request, repository, digest, source):
        return _created(repository, digest)
    upload = registry.begin_upload(repository.app)
    whole = request.GET.get("digest", "")
    if not whole:
        return _accepted(repository, upload, 0)
    registry.blob_path(whole)
    registry.append(repository.app, upload, _body(request))
    registry.finish_upload(repository.app, upload, whole)
    return _created(repository, whole)


def _mounted(request: HttpRequest, repository: Repository, digest: str, source: str) -> bool:
    try:
        other = access_app(request.caller.user, source.partition("/")[0])  # type: ignore[attr-defined]
    except NotFound:
        return False
    registry.blob_path(digest)
    return registry.mount(repository.app, other, digest)


@endpoint("GET", "PATCH", "PUT", "DELETE")
def upload(request: HttpRequest, name: str, upload: UUID) -> HttpResponseBase:
    """Go on with an upload: a chunk (PATCH), the end (PUT), where it is (GET), or giving it up (DELETE)."""
    repository = pushable(repository_of(request, name))
    app = repository.app
    if request.method == "DELETE":
        registry.cancel_upload(app, upload)
        return HttpResponse(status=204)
    if request.method == "GET":
        return _accepted(repository, upload, registry.upload_size(app, upload), status=204)
    start = CONTENT_RANGE.fullmatch(request.headers.get("Content-Range", ""))
    size = registry.append(app, upload, _body(request), int(start[1]) if start else None)
    if request.method == "PATCH":
        return _accepted(repository, upload, size)
    digest = request.GET.get("digest", "")
    registry.finish_upload(app, upload, digest)
    return _created(repository, digest)


def _accepted(repository: Repository, upload: UUID, size: int, status: int = 202) -> HttpResponse:
    headers = {
        "Location": f"/v2/{repository.name}/blobs/uploads/{upload}",
        "Range": f"0-{max(0, size - 1)}",
        "Docker-Upload-UUID": str(upload),
        "Content-Length": "0",
    }
    return HttpResponse(status=status, headers=headers)


def _created(repository: Repository, digest: str) -> HttpResponse:
    headers = {"Location": f"/v2/{repository.name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return HttpResponse(status=201, headers={**headers, "Content-Length": "0"})


def _body(request: HttpRequest, limit: int = 2**62) -> Iterator[bytes]:
    """Yield the body as it arrives, also a chunked one, which Django's own reader would take for empty."""
    stream, size = request.META["wsgi.input"], 0
    try:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise BadRequest(f"The body is larger than {limit} bytes.")
            yield chunk
    except OSError as error:
        raise BadRequest("The body broke off; send it again.") from error


@endpoint("GET")
def tags(request: HttpRequest, name: str) -> HttpResponseBase:
    """List tags, sorted; `n` and `last` page through them."""
    repository = repository_of(request, name)
    if repository.process_type:
        found = list(
            repository.app.registry_tags.filter(process_type=repository.process_type).values_list(
                "tag", flat=True
            )
        )
    else:
        rows = releases(repository.app).exclude(slug=None).values_list("version", flat=True)
        found = [f"v{version}" for version in rows]
        current = repository.app.current_release
        found += ["latest"] if current is not None and current.slug_id else []
    found.sort()
    last = request.GET.get("last", "")
    found = [tag for tag in found if tag > last] if last else found
    count = request.GET.get("n", "")
    limit = min(int(count), TAGS_MAX) if count.isascii() and count.isdigit() else TAGS_MAX
    response = JsonResponse({"name": repository.name, "tags": found[:limit]})
    if len(found) > limit > 0:
        response.headers["Link"] = (
            f'</v2/{repository.name}/tags/list?n={limit}&last={found[limit - 1]}>; rel="next"'
        )
    return response


@endpoint("GET")
def referrers(request: HttpRequest, name: str, digest: str) -> HttpResponseBase:
    """List what refers to a manifest: nothing is kept here that does."""
    repository_of(request, name)
    registry.blob_path(digest)
    return JsonResponse(
        {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": []}, content_type=OCI_INDEX
    )
