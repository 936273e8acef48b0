"""Dynos: what runs, restarting and stopping it, and one-off processes.

In: requests under /apps/APP/dynos and /apps/APP/formations.  Out: Heroku's representation of a dyno.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import (
    EmptySerializer,
    NamedReferenceSerializer,
    ReleaseReferenceSerializer,
    Time,
    app_reference,
)
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_items
from paas.controller.models import App, OneOff
from paas.controller.selectors.dynos import Dyno, dynos, find_dyno
from paas.controller.services.attaching import copy_files, exec_in_dyno, forward_port
from paas.controller.services.instances import restart, stop_instance
from paas.controller.services.one_offs import Run, run_attached, run_detached, stop_one_off
from paas.errors import NotFound

ORDERS = {"name": Field("name"), "id": uuid_field(), "type": Field("type")}


class DynoSerializer(serializers.Serializer[Dyno]):
    """Something that runs. Context `app`, and `attach_url` for one that was just made to be attached to."""

    attach_url = serializers.SerializerMethodField(
        help_text="Where to attach, once and within a minute (Heroku's rendezvous); null for all others."
    )
    app = serializers.SerializerMethodField()
    command = serializers.CharField()
    created_at = Time()
    exit_message = serializers.CharField(allow_null=True)
    health_message = serializers.CharField(
        help_text="What its last health check found, while it is unhealthy."
    )
    host = serializers.CharField(allow_null=True)
    id = serializers.UUIDField()
    name = serializers.CharField()
    release = serializers.SerializerMethodField()
    size = serializers.CharField()
    state = serializers.CharField()
    type = serializers.CharField()
    updated_at = Time()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_attach_url(self, dyno: Dyno) -> str | None:
        url: str | None = self.context.get("attach_url")
        return url

    @extend_schema_field(NamedReferenceSerializer)
    def get_app(self, dyno: Dyno) -> dict[str, str]:
        return app_reference(self.context["app"])

    @extend_schema_field(ReleaseReferenceSerializer)
    def get_release(self, dyno: Dyno) -> dict[str, Any]:
        return {"id": str(dyno.release_id), "version": dyno.release_version}


class NewDynoSerializer(serializers.Serializer[None]):
    command = serializers.CharField(max_length=16 * 1024, trim_whitespace=False)
    attach = serializers.BooleanField(required=False, default=False)
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False), required=False
    )
    force_no_tty = serializers.BooleanField(required=False, allow_null=True)
    size = serializers.CharField(required=False, allow_null=True)
    type = serializers.CharField(required=False, allow_null=True)
    time_to_live = serializers.IntegerField(required=False, allow_null=True)


class InsideSerializer(serializers.Serializer[None]):
    command = serializers.CharField(max_length=16 * 1024, trim_whitespace=False)
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False), required=False
    )
    force_no_tty = serializers.BooleanField(required=False, allow_null=True)


def render_dyno(app: App, dyno: Dyno, status: int, attach_url: str | None = None) -> Response:
    return render(DynoSerializer, dyno, status=status, context={"app": app, "attach_url": attach_url})


def one_off_of(app: App, dyno: Dyno) -> OneOff | None:
    return OneOff.objects.filter(app=app, id=dyno.id).first()


class Dynos(Resource):
    @extend_schema(operation_id="listDynos", responses=DynoSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List what runs."""
        found = app_of(request, app)
        return render_items(request, DynoSerializer, dynos(found), ORDERS, context={"app": found})

    @extend_schema(operation_id="runDyno", request=NewDynoSerializer, responses={201: DynoSerializer})
    def post(self, request: Request, app: str) -> Response:
        """Run a command once, in the environment of the current release; with `attach` for the caller's terminal."""
        found = app_of(request, app)
        body = read(request, NewDynoSerializer)
        run = Run(body["command"], body.get("size"), body.get("env") or {}, body.get("type") or "run")
        url = None
        if body["attach"]:
            no_tty = bool(body.get("force_no_tty"))
            one_off, url = run_attached(actor(request), found, run, no_tty=no_tty)
        else:
            one_off = run_detached(actor(request), found, run)
        return render_dyno(found, find_dyno(found, str(one_off.id)), 201, url)

    @extend_schema(operation_id="restartDynos", request=None, responses={202: EmptySerializer})
    def delete(self, request: Request, app: str) -> Response:
        """Restart every process type, one instance at a time, without refusing a request."""
        restart(actor(request), app_of(request, app))
        return Response({}, status=202)


class OneDyno(Resource):
    @extend_schema(operation_id="getDyno", responses=DynoSerializer)
    def get(self, request: Request, app: str, dyno: str) -> Response:
        """Show a dyno, by name or id."""
        found = app_of(request, app)
        return render_dyno(found, find_dyno(found, dyno), 200)

    @extend_schema(operation_id="runInsideDyno", request=InsideSerializer, responses={201: DynoSerializer})
    def post(self, request: Request, app: str, dyno: str) -> Response:
        """Run a further command inside a running dyno, for the caller's terminal."""
        found = app_of(request, app)
        body = read(request, InsideSerializer)
        inside, no_tty = find_dyno(found, dyno), bool(body.get("force_no_tty"))
        url = exec_in_dyno(
            actor(request), found, inside, body["command"], body.get("env") or {}, no_tty=no_tty
        )
        return render_dyno(found, inside, 201, url)

    @extend_schema(operation_id="restartDyno", request=None, responses={202: EmptySerializer})
    def delete(self, request: Request, app: str, dyno: str) -> Response:
        """Restart one instance; a one-off process is stopped."""
        found = app_of(request, app)
        wanted = find_dyno(found, dyno)
        one_off = one_off_of(found, wanted)
        if one_off is not None:
            stop_one_off(actor(request), one_off)
        else:
            restart(actor(request), found, name=wanted.name)
        return Response({}, status=202)


class CopySerializer(serializers.Serializer[None]):
    path = serializers.CharField(max_length=4096, trim_whitespace=False)
    into = serializers.BooleanField(required=False, default=False)


class PortSerializer(serializers.Serializer[None]):
    port = serializers.IntegerField(min_value=1, max_value=65535)


class DynoCopies(Resource):
    @extend_schema(operation_id="copyDynoFiles", request=CopySerializer, responses={201: DynoSerializer})
    def post(self, request: Request, app: str, dyno: str) -> Response:
        """Copy files out of a running dyno, or into it: a tar stream at the attach_url, in frames."""
        found, body = app_of(request, app), read(request, CopySerializer)
        inside = find_dyno(found, dyno)
        url = copy_files(actor(request), found, inside, body["path"], into=body["into"])
        return render_dyno(found, inside, 201, url)


class DynoPorts(Resource):
    @extend_schema(operation_id="forwardDynoPort", request=PortSerializer, responses={201: DynoSerializer})
    def post(self, request: Request, app: str, dyno: str) -> Response:
        """Reach a port inside a running dyno: every connection to the attach_url, in frames, for an hour."""
        found, body = app_of(request, app), read(request, PortSerializer)
        inside = find_dyno(found, dyno)
        return render_dyno(found, inside, 201, forward_port(actor(request), found, inside, body["port"]))


class StopDyno(Resource):
    @extend_schema(operation_id="stopDyno", request=None, responses={202: DynoSerializer})
    def post(self, request: Request, app: str, dyno: str) -> Response:
        """Stop one dyno. An instance of the formation is started again; a one-off process is not."""
        found = app_of(request, app)
        wanted = find_dyno(found, dyno)
        stop(request, found, wanted)
        return render_dyno(found, wanted, 202)


def stop(request: Request, app: App, dyno: Dyno) -> None:
    one_off = one_off_of(app, dyno)
    if one_off is not None:
        stop_one_off(actor(request), one_off)
    else:
        stop_instance(actor(request), app, dyno.name)


def dynos_of_type(app: App, process_type: str) -> list[Dyno]:
    """Return the dynos of a process type. Raises NotFound when there are none."""
    found = [dyno for dyno in dynos(app) if dyno.type == process_type]
    if not found:
        raise NotFound(f"{app.name} runs nothing of type {process_type}.", resource="formation")
    return found


class RestartType(Resource):
    @extend_schema(operation_id="restartProcessType", request=None, responses={202: EmptySerializer})
    def delete(self, request: Request, app: str, type: str) -> Response:
        """Restart every instance of a process type."""
        restart(actor(request), app_of(request, app), process_type=type)
        return Response({}, status=202)


class StopType(Resource):
    @extend_schema(operation_id="stopProcessType", request=None, responses={202: EmptySerializer})
    def post(self, request: Request, app: str, type: str) -> Response:
        """Stop every dyno of a process type."""
        found = app_of(request, app)
        for dyno in dynos_of_type(found, type):
            stop(request, found, dyno)
        return Response({}, status=202)
