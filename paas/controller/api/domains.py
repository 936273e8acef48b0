"""Domains: the host names that reach an app.

In: requests under /apps/APP/domains.  Out: Heroku's representation of a domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import NAMESPACE, Constant, NamedReferenceSerializer, Time, app_reference
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_items
from paas.controller.models import App, Domain
from paas.controller.selectors.apps import app_hosts
from paas.controller.services.domains import add_domain, remove_domain
from paas.errors import InvalidParams, NotFound

ORDERS = {"hostname": Field("hostname"), "id": uuid_field()}


@dataclass(frozen=True)
class HostName:
    """A name of an app: its own under the platform's domain (kind `heroku`), or one that was added (`custom`)."""

    id: UUID
    hostname: str
    kind: str
    cname: str | None
    created_at: datetime
    updated_at: datetime


class DomainSerializer(serializers.Serializer[HostName]):
    """A host name. Context `app`."""

    acm_status = Constant(None)
    acm_status_reason = Constant(None)
    app = serializers.SerializerMethodField()
    cname = serializers.CharField(allow_null=True)
    created_at = Time()
    hostname = serializers.CharField()
    id = serializers.UUIDField()
    kind = serializers.CharField()
    sni_endpoint = Constant(None)
    status = Constant("none")
    updated_at = Time()

    @extend_schema_field(NamedReferenceSerializer)
    def get_app(self, name: HostName) -> dict[str, str]:
        return app_reference(self.context["app"])


class NewDomainSerializer(serializers.Serializer[None]):
    hostname = serializers.CharField(max_length=253)
    sni_endpoint = serializers.CharField(required=False, allow_null=True)


def own_name(app: App) -> HostName:
    name = app_hosts(app)[0]
    return HostName(
        uuid5(NAMESPACE, f"domain {app.id}"), name, "heroku", None, app.created_at, app.created_at
    )


def custom_name(domain: Domain) -> HostName:
    # The name to point a CNAME at is the platform's; where there is no wildcard, an A record to its router.
    cname = str(settings.PAAS.domain)
    return HostName(domain.id, domain.hostname, "custom", cname, domain.created_at, domain.updated_at)


def host_names(app: App) -> list[HostName]:
    return [own_name(app), *(custom_name(domain) for domain in app.domains.order_by("hostname"))]


def find_name(app: App, name_or_id: str) -> HostName:
    """Return one host name of an app. Raises NotFound."""
    for name in host_names(app):
        if name_or_id.lower() in (name.hostname, str(name.id)):
            return name
    raise NotFound(f"Couldn't find domain {name_or_id} on {app.name}.", app=app.name, resource="domain")


class Domains(Resource):
    @extend_schema(operation_id="listDomains", responses=DomainSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the host names that reach an app."""
        found = app_of(request, app)
        return render_items(request, DomainSerializer, host_names(found), ORDERS, context={"app": found})

    @extend_schema(
        operation_id="createDomain", request=NewDomainSerializer, responses={201: DomainSerializer}
    )
    def post(self, request: Request, app: str) -> Response:
        """Let another host name reach an app."""
        found, body = app_of(request, app), read(request, NewDomainSerializer)
        if body.get("sni_endpoint"):
            raise InvalidParams("Certificates per domain are not available; leave sni_endpoint out.")
        domain = add_domain(actor(request), found, body["hostname"])
        return render(DomainSerializer, custom_name(domain), status=201, context={"app": found})


class OneDomain(Resource):
    @extend_schema(operation_id="getDomain", responses=DomainSerializer)
    def get(self, request: Request, app: str, domain: str) -> Response:
        """Show a host name."""
        found = app_of(request, app)
        return render(DomainSerializer, find_name(found, domain), context={"app": found})

    @extend_schema(operation_id="deleteDomain", request=None, responses=DomainSerializer)
    def delete(self, request: Request, app: str, domain: str) -> Response:
        """Remove a host name that was added."""
        found = app_of(request, app)
        name = find_name(found, domain)
        if name.kind != "custom":
            raise InvalidParams(
                f"{name.hostname} is the app's own name; it cannot be removed. Rename the app instead."
            )
        remove_domain(actor(request), found, name.hostname)
        return render(DomainSerializer, name, context={"app": found})
