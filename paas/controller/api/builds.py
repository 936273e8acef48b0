"""Builds from uploaded sources, and the output of every build; slugs.

In: requests under /apps/APP/builds and /apps/APP/slugs.  Out: Heroku's representation of a build and a slug.
"""

from __future__ import annotations

from typing import Any

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
    stack_ids,
    stack_reference,
    user_reference,
)
from paas.controller.api.rendering import origin
from paas.controller.api.resource import Resource, actor, app_of, get_row, read, render, render_rows
from paas.controller.api.resuming import answer, start_of
from paas.controller.api.secrets import sign, unsign
from paas.controller.api.sources import build_of_blob
from paas.controller.api.streams import plain_view
from paas.controller.models import Build, Slug
from paas.controller.selectors.builds import build_output, find_build, kept_output
from paas.controller.services.builds import cancel_build
from paas.controller.services.caches import purge_cache
from paas.controller.texts import storable
from paas.errors import NotFound

ORDERS = {"created_at": Field("created_at"), "id": uuid_field()}
OUTPUT_SECONDS = 24 * 3600
STATUS = {
    Build.Status.PENDING: "pending",
    Build.Status.BUILDING: "pending",
    Build.Status.SUCCEEDED: "succeeded",
    Build.Status.FAILED: "failed",
    Build.Status.CANCELLED: "failed",
}


class BuildpackSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    url = serializers.CharField()


class SourceVersionSerializer(serializers.Serializer[Any]):
    """`url`: where the platform fetched it, without the query, in which signed URLs have their secret."""

    checksum = serializers.CharField(source="source.checksum", default=None, allow_null=True)
    url = serializers.CharField(source="source.url", default=None, allow_null=True)
    version = serializers.CharField(source="commit")
    version_description = serializers.CharField(source="commit_message")


class BuildSerializer(serializers.Serializer[Build]):
    """A build. Context `request`. `state` tells cancelled from failed and building from pending."""

    app = NamedReferenceSerializer()
    buildpacks = serializers.SerializerMethodField()
    created_at = Time()
    error_id = serializers.CharField()
    finished_at = Time(allow_null=True)
    id = serializers.UUIDField()
    message = serializers.CharField()
    origin = serializers.CharField()
    output_stream_url = serializers.SerializerMethodField()
    release = IdReferenceSerializer(allow_null=True)
    slug = IdReferenceSerializer(allow_null=True)
    source_blob = SourceVersionSerializer(source="*")
    stack = serializers.CharField()
    state = serializers.CharField(source="status")
    status = serializers.SerializerMethodField()
    timings = serializers.DictField(child=serializers.FloatField())
    updated_at = Time()
    user = serializers.SerializerMethodField()

    @extend_schema_field(UserReferenceSerializer)
    def get_user(self, build: Build) -> dict[str, str]:
        return user_reference(build.user)

    @extend_schema_field(BuildpackSerializer(many=True))
    def get_buildpacks(self, build: Build) -> list[dict[str, str]]:
        return buildpacks_of(build.slug)

    def get_status(self, build: Build) -> str:
        return STATUS[Build.Status(build.status)]

    def get_output_stream_url(self, build: Build) -> str:
        token = sign("build-output", {"build": str(build.id)})
        return f"{origin(self.context['request']._request)}/build-output/{token}"


class NewSourceBlobSerializer(serializers.Serializer[None]):
    url = serializers.CharField(max_length=2000)
    version = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=64)
    version_description = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=500
    )
    checksum = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=80)


class NewBuildSerializer(serializers.Serializer[None]):
    source_blob = NewSourceBlobSerializer()


class BuildResultLineSerializer(serializers.Serializer[Any]):
    stream = serializers.CharField()
    line = serializers.CharField()


class BuildResultSerializer(serializers.Serializer[Any]):
    """How a build went. `exit_code` is null while it runs."""

    build = BuildSerializer()
    exit_code = serializers.IntegerField(allow_null=True)
    lines = BuildResultLineSerializer(many=True)


class SlugSerializer(serializers.Serializer[Slug]):
    """A built app. Context `stack_ids`."""

    blob = Constant({"method": "GET", "url": None})
    buildpack_provided_description = serializers.SerializerMethodField()
    checksum = serializers.SerializerMethodField()
    commit = serializers.CharField()
    commit_description = serializers.CharField(source="commit_message")
    created_at = Time()
    id = serializers.UUIDField()
    process_types = serializers.DictField(child=serializers.CharField())
    size = serializers.IntegerField()
    stack = serializers.SerializerMethodField()
    updated_at = Time()

    def get_buildpack_provided_description(self, slug: Slug) -> str | None:
        return ", ".join(pack["name"] for pack in buildpacks_of(slug)) or None

    def get_checksum(self, slug: Slug) -> str:
        return slug.digest.replace("sha256:", "SHA256:", 1)

    @extend_schema_field(NamedReferenceSerializer)
    def get_stack(self, slug: Slug) -> dict[str, str]:
        return stack_reference(slug.stack, self.context["stack_ids"])


def buildpacks_of(slug: Slug | None) -> list[dict[str, str]]:
    packs = slug.buildpacks if slug else []
    return [{"name": str(pack["name"]), "url": f"urn:buildpack:{pack['name']}"} for pack in packs]


def render_build(request: Request, build: Build, status: int = 200) -> Response:
    return render(BuildSerializer, build, status=status, context={"request": request})


class Builds(Resource):
    @extend_schema(operation_id="listBuilds", responses=BuildSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the builds of an app."""
        rows = Build.objects.filter(app=app_of(request, app)).select_related("app", "user", "slug", "release")
        return render_rows(request, BuildSerializer, rows, ORDERS, context={"request": request})

    @extend_schema(operation_id="createBuild", request=NewBuildSerializer, responses={201: BuildSerializer})
    def post(self, request: Request, app: str) -> Response:
        """Build and release an uploaded source (see POST /apps/APP/sources), or one that the platform fetches."""
        found, user = app_of(request, app), actor(request)
        blob = read(request, NewBuildSerializer)["source_blob"]
        return render_build(request, build_of_blob(user, found, blob), 201)


class BuildCache(Resource):
    @extend_schema(operation_id="deleteBuildCache", responses={204: None})
    def delete(self, request: Request, app: str) -> Response:
        """Give up the app's build cache: the next build installs everything anew."""
        purge_cache(actor(request), app_of(request, app))
        return Response(status=204)


class OneBuild(Resource):
    @extend_schema(operation_id="getBuild", responses=BuildSerializer)
    def get(self, request: Request, app: str, build: str) -> Response:
        """Show a build."""
        return render_build(request, find_build(app_of(request, app), build))

    @extend_schema(operation_id="cancelBuild", request=None, responses=BuildSerializer)
    def delete(self, request: Request, app: str, build: str) -> Response:
        """Cancel a build that waits or runs."""
        found = app_of(request, app)
        cancel_build(actor(request), find_build(found, build))
        return render_build(request, find_build(found, build))


class BuildResult(Resource):
    @extend_schema(operation_id="getBuildResult", responses=BuildResultSerializer)
    def get(self, request: Request, app: str, build: str) -> Response:
        """Show the output and exit code of a build that is over."""
        found = find_build(app_of(request, app), build)
        over = STATUS[Build.Status(found.status)] != "pending"
        lines = list(build_output(found)) if over else []
        answer = {
            "build": BuildSerializer(found, context={"request": request}).data,
            "exit_code": (0 if found.status == Build.Status.SUCCEEDED else 1) if over else None,
            "lines": [{"stream": "STDOUT", "line": f"{line}\n"} for line in lines],
        }
        return Response(answer)


class OneSlug(Resource):
    @extend_schema(operation_id="getSlug", responses=SlugSerializer)
    def get(self, request: Request, app: str, slug: str) -> Response:
        """Show a slug."""
        found = app_of(request, app)
        row = get_row(Slug.objects.filter(app=found), f"{found.name} has no slug {slug}.", "slug", id=slug)
        return render(SlugSerializer, row, context={"stack_ids": stack_ids()})


@plain_view("GET")
def read_build_output(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer the output of a build, live while it runs; from a byte on by `Range: bytes=N-` or `?offset=N`."""
    start = start_of(request)
    build_id = unsign("build-output", token, OUTPUT_SECONDS)["build"]
    build = Build.objects.select_related("app").filter(id=build_id).first()
    if build is None:
        raise NotFound("That build is gone.", resource="build")
    kept = kept_output(build)
    return answer((storable(line) for line in build_output(build)), start, kept)
