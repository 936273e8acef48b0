"""Releases: the ledger, one of them, rolling back, what differs, and the output of the release phase.

In: requests under /apps/APP/releases.  Out: Heroku's representation of a release.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import (
    Constant,
    IdReferenceSerializer,
    NamedReferenceSerializer,
    Time,
    UserReferenceSerializer,
    user_reference,
)
from paas.controller.api.rendering import origin
from paas.controller.api.resource import Resource, actor, app_of, get_row, read, render, render_rows
from paas.controller.api.secrets import sign, unsign
from paas.controller.api.streams import plain_view, stream
from paas.controller.models import App, Release, Slug
from paas.controller.selectors.releases import ReleaseDiff, diff, find_release, releases
from paas.controller.services.releases import release_slug, rollback
from paas.errors import InvalidParams, NotFound

ORDERS = {"version": Field("version", int), "id": uuid_field()}
OUTPUT_SECONDS = 24 * 3600  # how long an output URL is good for
RELEASE_PHASE_SECONDS = 3600  # how long a reader waits for a release phase
POLL_SECONDS = 0.5


class ReleaseSerializer(serializers.Serializer[Release]):
    """A release. Context `app`, `request`."""

    addon_plan_names = Constant([])
    app = NamedReferenceSerializer()
    artifacts = Constant([])
    created_at = Time()
    current = serializers.SerializerMethodField()
    description = serializers.CharField()
    eligible_for_rollback = serializers.SerializerMethodField()
    id = serializers.UUIDField()
    kind = serializers.CharField()
    message = serializers.CharField()
    oci_image = Constant(None)
    output_stream_url = serializers.SerializerMethodField()
    slug = IdReferenceSerializer(allow_null=True)
    status = serializers.CharField()
    updated_at = Time()
    user = serializers.SerializerMethodField()
    version = serializers.IntegerField()

    def get_current(self, release: Release) -> bool:
        current: bool = release.id == self.context["app"].current_release_id
        return current

    def get_eligible_for_rollback(self, release: Release) -> bool:
        return release.slug_id is not None and release.status == Release.Status.SUCCEEDED

    @extend_schema_field(UserReferenceSerializer)
    def get_user(self, release: Release) -> dict[str, str]:
        return user_reference(release.user)

    def get_output_stream_url(self, release: Release) -> str | None:
        if not has_release_phase(release):
            return None
        token = sign("release-output", {"release": str(release.id)})
        return f"{origin(self.context['request']._request)}/release-output/{token}"


class NewReleaseSerializer(serializers.Serializer[None]):
    release = serializers.JSONField(required=False, help_text="Id or version of the release to go back to.")
    slug = serializers.JSONField(required=False, help_text="Id of a slug of this app to release.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class ReleaseDiffSerializer(serializers.Serializer[ReleaseDiff]):
    """What changes from one release to another. Config vars by name only."""

    code = serializers.ListField(child=serializers.CharField(), allow_null=True)
    stack = serializers.ListField(child=serializers.CharField(), allow_null=True)
    config = serializers.DictField(child=serializers.CharField())
    formation = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    health_checks = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    domains = serializers.DictField(child=serializers.CharField())
    kernel = serializers.DictField(child=serializers.ListField(child=serializers.CharField(allow_blank=True)))
    sandbox = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(allow_blank=True))
    )
    volumes = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(allow_blank=True))
    )


def has_release_phase(release: Release) -> bool:
    return (
        release.kind == Release.Kind.DEPLOY
        and release.slug is not None
        and "release" in release.slug.process_types
    )


def render_release(request: Request, app: App, release: Release, status: int = 200) -> Response:
    return render(ReleaseSerializer, release, status=status, context={"app": app, "request": request})


def identity(value: object, name: str) -> str:
    """Return an id or version out of text, a number, or an object with an id."""
    text = value.get("id") if isinstance(value, dict) else value
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise InvalidParams(f"{name}: give an id{' or version' if name == 'release' else ''}.")
    return str(text)


class Releases(Resource):
    @extend_schema(operation_id="listReleases", responses=ReleaseSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List releases. `Range: version ..; order=desc, max=10` gives the newest ten."""
        found = app_of(request, app)
        rows = releases(found).select_related("user", "slug", "app").defer("config_encrypted", "output")
        return render_rows(
            request, ReleaseSerializer, rows, ORDERS, context={"app": found, "request": request}
        )

    @extend_schema(
        operation_id="createRelease", request=NewReleaseSerializer, responses={201: ReleaseSerializer}
    )
    def post(self, request: Request, app: str) -> Response:
        """Go back to a release (a new one with everything of it), or release a slug."""
        found, user = app_of(request, app), actor(request)
        body = read(request, NewReleaseSerializer)
        if "release" in body:
            made = rollback(user, found, find_release(found, identity(body["release"], "release")))
        elif "slug" in body:
            slug_id = identity(body["slug"], "slug")
            slug = get_row(
                Slug.objects.filter(app=found), f"{found.name} has no slug {slug_id}.", "slug", id=slug_id
            )
            made = release_slug(user, found, slug, body["description"])
        else:
            raise InvalidParams("Give `release` (to roll back) or `slug`.")
        found.refresh_from_db()
        return render_release(request, found, made, 201)


class OneRelease(Resource):
    @extend_schema(operation_id="getRelease", responses=ReleaseSerializer)
    def get(self, request: Request, app: str, release: str) -> Response:
        """Show a release, by id or version."""
        found = app_of(request, app)
        return render_release(request, found, find_release(found, release))


class Diff(Resource):
    @extend_schema(operation_id="diffReleases", responses=ReleaseDiffSerializer)
    def get(self, request: Request, app: str, release: str, other: str) -> Response:
        """Show what changes from one release to another."""
        found = app_of(request, app)
        return render(ReleaseDiffSerializer, diff(find_release(found, release), find_release(found, other)))


@plain_view("GET")
def read_release_output(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer the output of a release phase, as long as it runs; 404 before it has started."""
    release_id = unsign("release-output", token, OUTPUT_SECONDS)["release"]
    release = Release.objects.filter(id=release_id).only("output", "status").first()
    if release is None or (release.status == Release.Status.PENDING and not release.output):
        raise NotFound("The release phase has not started yet.", resource="release")
    return stream(release_output(release), "text/plain; charset=utf-8")


def release_output(release: Release) -> Iterator[str]:
    """Yield the output of a release phase until the release has succeeded or failed."""
    sent, deadline = 0, time.monotonic() + RELEASE_PHASE_SECONDS
    while True:
        yield release.output[sent:]
        sent = max(sent, len(release.output))
        if release.status != Release.Status.PENDING or time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)  # the row is the only place that tells; its writer appends to it
        release.refresh_from_db(fields=["output", "status"])
