"""The formation: how many of each process type, and how large.

In: requests under /apps/APP/formation.  Out: one object per process type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import uuid5

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import NAMESPACE, NamedReferenceSerializer, app_reference, timestamp
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_items
from paas.controller.models import App
from paas.controller.selectors.formation import FormationRow, formation
from paas.controller.services.formation import FormationUpdate, scale
from paas.errors import InvalidParams, NotFound

ORDERS = {"type": Field("type"), "id": uuid_field()}
RELATIVE = re.compile(r"[+-]?[0-9]{1,9}")


class FormationSerializer(serializers.Serializer[FormationRow]):
    """A process type. Context `app`."""

    app = serializers.SerializerMethodField()
    command = serializers.CharField()
    created_at = serializers.SerializerMethodField()
    dyno_size = serializers.SerializerMethodField()
    id = serializers.UUIDField()
    quantity = serializers.IntegerField()
    size = serializers.CharField()
    type = serializers.CharField()
    updated_at = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_created_at(self, row: FormationRow) -> str:
        return timestamp(self.context["app"].created_at)

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_updated_at(self, row: FormationRow) -> str:
        return timestamp(self.context["app"].updated_at)

    @extend_schema_field(NamedReferenceSerializer)
    def get_app(self, row: FormationRow) -> dict[str, str]:
        return app_reference(self.context["app"])

    @extend_schema_field(NamedReferenceSerializer)
    def get_dyno_size(self, row: FormationRow) -> dict[str, str]:
        return {"id": str(uuid5(NAMESPACE, f"dyno size {row.size}")), "name": row.size}


class QuantityField(serializers.Field[Any, Any, Any, Any]):
    """A number, or text such as `3`, `+1` and `-1`."""

    def to_internal_value(self, data: object) -> int | str:
        if isinstance(data, int) and not isinstance(data, bool) and data >= 0:
            return data
        if isinstance(data, str) and RELATIVE.fullmatch(data.strip()):
            return data.strip()
        raise serializers.ValidationError("Give a whole number from 0, or a change such as +1 or -1.")


class QuantitySchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = QuantityField

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[+-]?[0-9]+$"}]}


class TypeChangeSerializer(serializers.Serializer[None]):
    quantity = QuantityField(required=False)
    size = serializers.CharField(required=False, allow_null=True)
    dyno_size = serializers.JSONField(required=False, help_text='A name, or {"name": ...}: the same as size.')
    docker_image = serializers.CharField(
        required=False, allow_null=True, help_text="Not available: push with git."
    )


class FormationChangeSerializer(TypeChangeSerializer):
    type = serializers.CharField()


class FormationChangesSerializer(serializers.Serializer[None]):
    updates = FormationChangeSerializer(many=True, allow_empty=False)


def update_of(process_type: str, change: dict[str, Any]) -> FormationUpdate:
    """Return the typed form of one change."""
    if "docker_image" in change:
        raise InvalidParams("Images cannot be released to a process type. Deploy with `git push`.")
    named = change.get("dyno_size")
    size = change.get("size") or (named.get("name") if isinstance(named, dict) else named)
    if size is not None and not isinstance(size, str):
        raise InvalidParams("size: give the name of a size; GET /dyno-sizes lists them.")
    return FormationUpdate(type=process_type, quantity=change.get("quantity"), size=size)


def find_row(app: App, type_or_id: str) -> FormationRow:
    """Return one process type. Raises NotFound."""
    for row in formation(app):
        if type_or_id in (row.type, str(row.id)):
            return row
    raise NotFound(f"{app.name} has no process type {type_or_id}.", resource="formation")


def change_formation(request: Request, app: App, updates: Sequence[FormationUpdate]) -> list[FormationRow]:
    scale(actor(request), app, updates)
    changed = {update.type for update in updates}
    return [row for row in formation(app) if row.type in changed]


class Formation(Resource):
    @extend_schema(operation_id="listFormation", responses=FormationSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the process types."""
        found = app_of(request, app)
        return render_items(request, FormationSerializer, formation(found), ORDERS, context={"app": found})

    @extend_schema(
        operation_id="updateFormation",
        request=FormationChangesSerializer,
        responses=FormationSerializer(many=True),
    )
    def patch(self, request: Request, app: str) -> Response:
        """Scale several process types in one release. Answers those that were named."""
        found = app_of(request, app)
        updates = [
            update_of(change["type"], change)
            for change in read(request, FormationChangesSerializer)["updates"]
        ]
        rows = change_formation(request, found, updates)
        return render_items(request, FormationSerializer, rows, ORDERS, context={"app": found})


class ProcessType(Resource):
    @extend_schema(operation_id="getProcessType", responses=FormationSerializer)
    def get(self, request: Request, app: str, type: str) -> Response:
        """Show a process type."""
        found = app_of(request, app)
        return render(FormationSerializer, find_row(found, type), context={"app": found})

    @extend_schema(
        operation_id="updateProcessType", request=TypeChangeSerializer, responses=FormationSerializer
    )
    def patch(self, request: Request, app: str, type: str) -> Response:
        """Scale one process type."""
        found = app_of(request, app)
        update = update_of(find_row(found, type).type, read(request, TypeChangeSerializer))
        rows = change_formation(request, found, [update])
        return render(FormationSerializer, rows[0], context={"app": found})
