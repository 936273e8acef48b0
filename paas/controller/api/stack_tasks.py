"""Importing and updating stacks, and rebasing apps on them.

In: requests under /stacks and /stack-tasks, POST /apps/APP/actions/rebase.  Out: tasks with their output; releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.images import credentials_text
from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import Time, UserReferenceSerializer, user_reference
from paas.controller.api.releases import ReleaseSerializer, render_release
from paas.controller.api.rendering import origin
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_rows
from paas.controller.api.secrets import sign, unsign
from paas.controller.api.sources import uploaded_file
from paas.controller.api.stacks import Stacks, find_stack
from paas.controller.api.streams import plain_view, stream
from paas.controller.models import StackTask
from paas.controller.selectors.builds import Outcome, follow
from paas.controller.services.rebase import rebase
from paas.controller.services.registries import check_source
from paas.controller.services.stacks import find_task, import_stack, update_stack
from paas.errors import Forbidden, InvalidParams
from paas.oci.references import ARCHIVES

ORDERS = {"created_at": Field("created_at"), "id": uuid_field()}
OUTPUT_SECONDS = 24 * 3600


class StackTaskSerializer(serializers.Serializer[StackTask]):
    """The import or update of a stack. Context `request`."""

    build_image = serializers.CharField(source="build_source")
    created_at = Time()
    error_id = serializers.CharField()
    finished_at = Time(allow_null=True)
    id = serializers.UUIDField()
    image = serializers.CharField(source="source")
    message = serializers.CharField()
    output_stream_url = serializers.SerializerMethodField()
    stack = serializers.CharField()
    status = serializers.CharField()
    updated_at = Time()
    user = serializers.SerializerMethodField()

    @extend_schema_field(UserReferenceSerializer)
    def get_user(self, task: StackTask) -> dict[str, str]:
        return user_reference(task.user)

    def get_output_stream_url(self, task: StackTask) -> str:
        token = sign("stack-output", {"task": str(task.id)})
        return f"{origin(self.context['request']._request)}/stack-output/{token}"


class NewStackSerializer(serializers.Serializer[None]):
    """`image` and `build_image`: `docker://REGISTRY/NAME:TAG`, or `oci-archive:NAME` with the URL of an upload."""

    name = serializers.CharField(max_length=64)
    image = serializers.CharField(max_length=500)
    build_image = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")
    image_blob_url = serializers.CharField(required=False, allow_null=True)
    build_image_blob_url = serializers.CharField(required=False, allow_null=True)
    credentials = serializers.JSONField(required=False, allow_null=True, default=None)


class StackUpdateSerializer(serializers.Serializer[None]):
    credentials = serializers.JSONField(required=False, allow_null=True, default=None)


def render_task(request: Request, task: StackTask, status: int = 200) -> Response:
    return render(StackTaskSerializer, task, status=status, context={"request": request})


class AllStacks(Stacks):
    @extend_schema(
        operation_id="importStack", request=NewStackSerializer, responses={201: StackTaskSerializer}
    )
    def post(self, request: Request) -> Response:
        """Import a stack from a registry or an uploaded archive. For administrators."""
        return create(request)


def create(request: Request) -> Response:
    user, body = actor(request), read(request, NewStackSerializer)
    pairs = [
        (body["image"], body.get("image_blob_url")),
        (body["build_image"], body.get("build_image_blob_url")),
    ]
    for text, url in pairs:
        if (bool(text) and check_source(text).transport in ARCHIVES) != bool(url):
            raise InvalidParams("Give the URL of an upload with an archive, and with nothing else.")
    run, build = (uploaded_file(url, user.id) if url else None for _, url in pairs)
    task = import_stack(
        user,
        body["name"],
        body["image"],
        body["build_image"],
        credentials=credentials_text(body["credentials"]),
        uploads=(run, build),
    )
    return render_task(request, task, 201)


class UpdateStack(Resource):
    @extend_schema(
        operation_id="updateStack", request=StackUpdateSerializer, responses={201: StackTaskSerializer}
    )
    def post(self, request: Request, stack: str) -> Response:
        """Make a stack anew from its definition or its images. Apps keep theirs until they are rebased."""
        credentials = credentials_text(read(request, StackUpdateSerializer)["credentials"])
        return render_task(request, update_stack(actor(request), find_stack(stack), credentials), 201)


class StackTasks(Resource):
    @extend_schema(operation_id="listStackTasks", responses=StackTaskSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List imports and updates of stacks. For administrators."""
        if not actor(request).is_admin:
            raise Forbidden("Only administrators see the imports of stacks.")
        rows = StackTask.objects.select_related("user").defer("output", "credentials_encrypted")
        return render_rows(request, StackTaskSerializer, rows, ORDERS, context={"request": request})


class OneStackTask(Resource):
    @extend_schema(operation_id="getStackTask", responses=StackTaskSerializer)
    def get(self, request: Request, task: str) -> Response:
        """Show an import or update. For administrators."""
        if not actor(request).is_admin:
            raise Forbidden("Only administrators see the imports of stacks.")
        return render_task(request, find_task(task))


class Rebase(Resource):
    @extend_schema(
        operation_id="rebaseApp", request=None, responses={201: ReleaseSerializer, 200: ReleaseSerializer}
    )
    def post(self, request: Request, app: str) -> Response:
        """Release an app's code on the newest layers of its stack. 200: it is on them already."""
        found = app_of(request, app)
        made = rebase(actor(request), found)
        found.refresh_from_db()
        if made is not None:
            return render_release(request, found, made, 201)
        assert found.current_release is not None
        return render_release(request, found, found.current_release)


@plain_view("GET")
def read_stack_output(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer the output of an import or update, live while it runs."""
    task = find_task(unsign("stack-output", token, OUTPUT_SECONDS)["task"])
    return stream(_lines(task), "text/plain; charset=utf-8")


def _lines(task: StackTask) -> Iterator[str]:
    if task.status not in StackTask.ACTIVE:
        yield from (f"{line}\n" for line in task.output.splitlines())
        return
    for step in follow(task.id, ended=outcome):
        if step.line is not None:
            yield f"{step.line}\n"


def outcome(task_id: Any) -> Outcome | None:
    """Return how a task ended as its row has it, None while it goes on."""
    task = StackTask.objects.filter(id=task_id).first()
    if task is None or task.status in StackTask.ACTIVE:
        return None if task else Outcome(False, "the task is gone")
    return Outcome(task.status == StackTask.Status.SUCCEEDED, task.message)
