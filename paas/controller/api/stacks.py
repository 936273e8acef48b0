"""What there is to choose from: stacks, regions, sizes.

In: requests under /stacks, /regions, /dyno-sizes.  Out: Heroku's representations.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import NAMESPACE, REGION, Constant, Time
from paas.controller.api.resource import Resource, app_of, get_row, render, render_items, render_rows
from paas.controller.models import Stack
from paas.controller.selectors.formation import SIZES, Size
from paas.errors import NotFound

ORDERS = {"name": Field("name"), "id": uuid_field()}
SIZE_ORDERS = {"name": Field("name")}
GIB = 1024**3


class StackSerializer(serializers.Serializer[Stack]):
    created_at = Time()
    default = serializers.BooleanField(source="is_default")
    id = serializers.UUIDField()
    name = serializers.CharField()
    node_version = serializers.CharField()
    python_version = serializers.CharField()
    state = Constant("public")
    updated_at = Time()


class RegionSerializer(serializers.Serializer[Any]):
    country = serializers.CharField()
    description = serializers.CharField()
    id = serializers.UUIDField()
    locale = serializers.CharField()
    name = serializers.CharField()
    private_capable = serializers.BooleanField()


class DynoSizeSerializer(serializers.Serializer[Size]):
    """A size of instance. `memory` is in GiB, `compute` a weight against other instances of the host."""

    compute = serializers.IntegerField(source="units")
    cost = Constant(None)
    cpu_cores = serializers.FloatField(allow_null=True)
    cpu_shares = serializers.IntegerField()
    dedicated = Constant(False)
    dyno_units = serializers.IntegerField(source="units")
    id = serializers.SerializerMethodField()
    memory = serializers.SerializerMethodField()
    name = serializers.CharField()
    private_space_only = Constant(False)

    def get_id(self, size: Size) -> str:
        return str(uuid5(NAMESPACE, f"dyno size {size.name}"))

    def get_memory(self, size: Size) -> float:
        return size.memory_bytes / GIB


# Clients print the region unless it is `us`; here there is one, and it is wherever the hosts are.
REGIONS = [{**REGION, "country": "", "description": "This platform", "locale": "", "private_capable": False}]


class Stacks(Resource):
    @extend_schema(operation_id="listStacks", responses=StackSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the stacks that apps can run on."""
        return render_rows(request, StackSerializer, Stack.objects.all(), ORDERS)


class AppStacks(Resource):
    @extend_schema(operation_id="listAppStacks", responses=StackSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the stacks that an app can be set to."""
        app_of(request, app)
        return render_rows(request, StackSerializer, Stack.objects.all(), ORDERS)


class OneStack(Resource):
    @extend_schema(operation_id="getStack", responses=StackSerializer)
    def get(self, request: Request, stack: str) -> Response:
        """Show a stack, by name or id."""
        found = Stack.objects.filter(name=stack).first()
        missing = f"Couldn't find stack {stack}; GET /stacks lists them."
        return render(StackSerializer, found or get_row(Stack.objects.all(), missing, "stack", id=stack))


class Regions(Resource):
    @extend_schema(operation_id="listRegions", responses=RegionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the regions: one."""
        return Response(REGIONS)


class OneRegion(Resource):
    @extend_schema(operation_id="getRegion", responses=RegionSerializer)
    def get(self, request: Request, region: str) -> Response:
        """Show a region."""
        if region not in (REGION["id"], REGION["name"]):
            raise NotFound("Couldn't find that region; there is one: us.", resource="region")
        return Response(REGIONS[0])


class DynoSizes(Resource):
    @extend_schema(operation_id="listDynoSizes", responses=DynoSizeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the sizes of instances."""
        return render_items(request, DynoSizeSerializer, list(SIZES.values()), SIZE_ORDERS)


class OneDynoSize(Resource):
    @extend_schema(operation_id="getDynoSize", responses=DynoSizeSerializer)
    def get(self, request: Request, size: str) -> Response:
        """Show a size."""
        found = SIZES.get(size.lower())
        if found is None:
            raise NotFound(f"There is no size {size}; there is: {', '.join(SIZES)}.", resource="dyno_size")
        return render(DynoSizeSerializer, found)
