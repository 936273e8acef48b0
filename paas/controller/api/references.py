"""The pieces that the representations of several nouns share.

In: rows.  Out: `{"id", "name"}` and the like, and times as Heroku writes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers

from paas.controller.models import App, Release, Stack, User

NAMESPACE = UUID(
    "6b1e9d0e-3f0c-5c1b-9d57-2f4f5d3f9a10"
)  # ids of things that have no row follow from their name
REGION = {"id": str(uuid5(NAMESPACE, "region us")), "name": "us"}
DELETED_USER = {"id": "00000000-0000-0000-0000-000000000000", "email": "deleted account"}


TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def timestamp(moment: datetime) -> str:
    """Return a time in UTC, to the second, as Heroku writes it."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


class Time(serializers.DateTimeField):
    """A time in UTC, to the second."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(format=TIME_FORMAT, read_only=True, **arguments)


class Constant(serializers.Field[Any, Any, Any, Any]):
    """A field that clients read and that has one value here."""

    def __init__(self, value: Any) -> None:
        super().__init__(source="*", read_only=True)
        self.value = value

    def to_representation(self, value: Any) -> Any:
        return self.value

    def __deepcopy__(self, memo: dict[int, Any]) -> Constant:
        return Constant(self.value)


class ConstantSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "paas.controller.api.references.Constant"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        value = self.target.value
        kinds: dict[type, dict[str, Any]] = {
            bool: {"type": "boolean"},
            int: {"type": "integer"},
            float: {"type": "number"},
            str: {"type": "string"},
            list: {"type": "array", "items": {}},
            dict: {"type": "object", "additionalProperties": {}},
        }
        return {**kinds.get(type(value), {"nullable": True}), "readOnly": True}


class NamedReferenceSerializer(serializers.Serializer[Any]):
    """Something by id and name."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class UserReferenceSerializer(serializers.Serializer[User]):
    id = serializers.UUIDField()
    email = serializers.CharField()


class ReleaseReferenceSerializer(serializers.Serializer[Release]):
    id = serializers.UUIDField()
    version = serializers.IntegerField()


class IdReferenceSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()


class EmptySerializer(serializers.Serializer[None]):
    """An empty object."""


def user_reference(user: User | None) -> dict[str, str]:
    return {"id": str(user.id), "email": user.email} if user else DELETED_USER


def app_reference(app: App) -> dict[str, str]:
    return {"id": str(app.id), "name": app.name}


def stack_ids() -> dict[str, UUID]:
    """Return the id of each stack by name."""
    return dict(Stack.objects.values_list("name", "id"))


def stack_reference(name: str, ids: dict[str, UUID]) -> dict[str, str]:
    """Refer to a stack by name; one that has been removed since keeps an id that follows from its name."""
    return {"id": str(ids.get(name) or uuid5(NAMESPACE, f"stack {name}")), "name": name}
