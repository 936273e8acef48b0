"""Volumes of an app and their snapshots.

In: requests under /apps/APP/volumes.  Out: volumes with where the newest release mounts them, and what their host says.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.models import Volume
from paas.controller.selectors.volumes import bindings_of_app, find_volume, volumes
from paas.controller.services import volumes as service
from runtime.model import Snapshot


class NewVolume(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    size = serializers.IntegerField(min_value=0)
    mounts = serializers.ListField(child=serializers.CharField(max_length=300), max_length=20, default=list)


class VolumeUpdate(serializers.Serializer[Any]):
    size = serializers.IntegerField(min_value=0, required=False)
    mounts = serializers.ListField(child=serializers.CharField(max_length=300), max_length=20, required=False)


class VolumeBody(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField()
    used = serializers.IntegerField(allow_null=True)
    storage_class = serializers.CharField()
    host = serializers.CharField()
    mounts = serializers.ListField(child=serializers.CharField())
    in_use_by = serializers.ListField(child=serializers.CharField())
    cloned_from = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class SnapshotName(serializers.Serializer[Any]):
    snapshot = serializers.CharField(max_length=63, required=False, default="")


class CloneBody(serializers.Serializer[Any]):
    snapshot = serializers.CharField(max_length=63)
    name = serializers.CharField(max_length=63)


class SnapshotBody(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()
    created_at = serializers.FloatField()


def show(volume: Volume) -> dict[str, Any]:
    status = service.status_of(volume)
    return {
        "id": str(volume.id),
        "name": volume.name,
        "size": volume.size_bytes,
        "used": status.used_bytes if status else None,
        "storage_class": "local",
        "host": volume.host.name,
        "mounts": [one.text for one in bindings_of_app(volume.app) if one.volume == str(volume.id)],
        "in_use_by": [one.name for one in status.holders] if status else [],
        "cloned_from": volume.source,
        "created_at": volume.created_at,
        "updated_at": volume.updated_at,
    }


def show_snapshot(one: Snapshot) -> dict[str, Any]:
    return {"name": one.name, "size": one.size_bytes, "created_at": one.created_at}


class Volumes(Resource):
    @extend_schema(operation_id="listVolumes", responses=VolumeBody(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the volumes of an app."""
        return Response([show(one) for one in volumes(app_of(request, app))])

    @extend_schema(operation_id="createVolume", request=NewVolume, responses={201: VolumeBody})
    def post(self, request: Request, app: str) -> Response:
        """Make a volume; with mounts (TYPE:/PATH, TYPE:/PATH:ro) it is mounted by a release."""
        body = read(request, NewVolume)
        made = service.create_volume(
            actor(request), app_of(request, app), body["name"], body["size"], body["mounts"]
        )
        return Response(show(made), 201)


class OneVolume(Resource):
    @extend_schema(operation_id="getVolume", responses=VolumeBody)
    def get(self, request: Request, app: str, volume: str) -> Response:
        """Show a volume."""
        return Response(show(find_volume(app_of(request, app), volume)))

    @extend_schema(operation_id="updateVolume", request=VolumeUpdate, responses=VolumeBody)
    def patch(self, request: Request, app: str, volume: str) -> Response:
        """Let it grow, and mount it at these places and nowhere else, which makes a release."""
        found, body = find_volume(app_of(request, app), volume), read(request, VolumeUpdate)
        if "size" in body:
            service.resize(actor(request), found, body["size"])
        if "mounts" in body:
            service.set_mounts(actor(request), found, body["mounts"])
        return Response(show(found))

    @extend_schema(operation_id="destroyVolume", request=None, responses=VolumeBody)
    def delete(self, request: Request, app: str, volume: str) -> Response:
        """Destroy a volume with all that is in it; one that is mounted only with `?force=true`."""
        found = find_volume(app_of(request, app), volume)
        shown = show(found)
        service.destroy(actor(request), found, force=request.query_params.get("force") == "true")
        return Response(shown)


class VolumeSnapshots(Resource):
    @extend_schema(operation_id="listVolumeSnapshots", responses=SnapshotBody(many=True))
    def get(self, request: Request, app: str, volume: str) -> Response:
        """List the snapshots of a volume."""
        return Response(
            [show_snapshot(one) for one in service.snapshots(find_volume(app_of(request, app), volume))]
        )

    @extend_schema(operation_id="createVolumeSnapshot", request=SnapshotName, responses={201: SnapshotBody})
    def post(self, request: Request, app: str, volume: str) -> Response:
        """Keep a volume as it is now, also while it is written to. Without a name it is named by the time."""
        found, name = find_volume(app_of(request, app), volume), read(request, SnapshotName)["snapshot"]
        return Response(show_snapshot(service.take_snapshot(actor(request), found, name)), 201)


class OneVolumeSnapshot(Resource):
    @extend_schema(operation_id="destroyVolumeSnapshot", request=None, responses=VolumeBody)
    def delete(self, request: Request, app: str, volume: str, snapshot: str) -> Response:
        """Delete a snapshot."""
        found = find_volume(app_of(request, app), volume)
        service.remove_snapshot(actor(request), found, snapshot)
        return Response(show(found))


class RestoreVolume(Resource):
    @extend_schema(operation_id="restoreVolume", request=SnapshotName, responses=VolumeBody)
    def post(self, request: Request, app: str, volume: str) -> Response:
        """Put a volume back to a snapshot. Refused while a process uses it."""
        found = find_volume(app_of(request, app), volume)
        service.restore(actor(request), found, read(request, SnapshotName)["snapshot"])
        return Response(show(found))


class CloneVolume(Resource):
    @extend_schema(operation_id="cloneVolume", request=CloneBody, responses={201: VolumeBody})
    def post(self, request: Request, app: str, volume: str) -> Response:
        """Make another volume of the app from a snapshot."""
        found, body = find_volume(app_of(request, app), volume), read(request, CloneBody)
        source = f"{found.id}/{body['snapshot']}"
        made = service.create_volume(actor(request), found.app, body["name"], found.size_bytes, source=source)
        return Response(show(made), 201)
