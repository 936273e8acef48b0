"""What there is to choose from: stacks, regions, sizes.

In: requests under /stacks, /regions, /dyno-sizes.  Out: Heroku's representations.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import NAMESPACE, REGION, Constant, Time
from paas.controller.api.resource import Resource, actor, app_of, get_row, render, render_items, render_rows
from paas.controller.models import Stack
from paas.controller.selectors.formation import SIZES, Size
from paas.controller.selectors.stacks import Behind, behind
from paas.errors import NotFound

ORDERS = {"name": Field("name"), "id": uuid_field()}
SIZE_ORDERS = {"name": Field("name")}
GIB = 1024**3


class BehindSerializer(serializers.Serializer[Any]):
    """An app whose release has older layers than its stack. `reason`: why it needs a build ('': it can be rebased)."""

    app = serializers.CharField()
    reason = serializers.CharField()
    version = serializers.IntegerField()


class StackSerializer(serializers.Serializer[Stack]):
    """A stack. Context `behind`: what `selectors.stacks.behind` found, for who asks."""

    abi = serializers.DictField(child=serializers.CharField())
    behind = serializers.SerializerMethodField()
    build_image = serializers.CharField(source="build_source")
    created_at = Time()
    default = serializers.BooleanField(source="is_default")
    digest = serializers.SerializerMethodField()
    id = serializers.UUIDField()
    image = serializers.CharField(source="source")
    name = serializers.CharField()
    node_version = serializers.CharField()
    python_version = serializers.CharField()
    state = Constant("public")
    updated_at = Time()

    @extend_schema_field(BehindSerializer(many=True))
    def get_behind(self, stack: Stack) -> list[dict[str, Any]]:
        found: list[Behind] = self.context["behind"]
        mine = (one for one in found if one.release.stack == stack.name)
        return [{"app": one.app.name, "reason": one.reason, "version": one.release.version} for one in mine]

    def get_digest(self, stack: Stack) -> str | None:
        return str(stack.run_layers[0]["digest"]) if stack.run_layers else None


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


def context(request: Request) -> dict[str, Any]:
    return {"behind": behind(actor(request))}


def find_stack(name_or_id: str) -> Stack:
    """Return a stack. Raises NotFound."""
    found = Stack.objects.filter(name=name_or_id).first()
    missing = f"Couldn't find stack {name_or_id}; GET /stacks lists them."
    return found or get_row(Stack.objects.all(), missing, "stack", id=name_or_id)


class Stacks(Resource):
    @extend_schema(operation_id="listStacks", responses=StackSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the stacks that apps can run on."""
        return render_rows(request, StackSerializer, Stack.objects.all(), ORDERS, context=context(request))


class AppStacks(Resource):
    @extend_schema(operation_id="listAppStacks", responses=StackSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the stacks that an app can be set to."""
        app_of(request, app)
        return render_rows(request, StackSerializer, Stack.objects.all(), ORDERS, context=context(request))


class OneStack(Resource):
    @extend_schema(operation_id="getStack", responses=StackSerializer)
    def get(self, request: Request, stack: str) -> Response:
        """Show a stack, by name or id."""
        return render(StackSerializer, find_stack(stack), context=context(request))


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
