"""Endpoints for agents and routers, on a port of their own (`paas.machine_port`). No token opens them."""

from django.urls import path

from paas.controller.internal import hosts, images, joining, renewal, routers

urlpatterns = [
    path("internal/hosts/<str:host>/report", hosts.report),
    path("internal/hosts/<str:host>/logs", hosts.logs),
    path("internal/routers/<str:router>/report", routers.report),
    path("internal/routers/<str:router>/access", routers.access),
    path("internal/authority", joining.ca),
    path("internal/join", joining.join),
    path("internal/renew", renewal.renew),
    path("internal/images/<str:digest>", images.image),
    path("internal/sources/<uuid:build_id>", images.source),
    path("<path:path>", joining.unknown),
]
