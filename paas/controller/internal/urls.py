"""Endpoints for agents and routers. They carry machine credentials; no user token opens them."""

from django.urls import path

from paas.controller.internal import hosts, images, routers

urlpatterns = [
    path("internal/hosts/<str:host>/report", hosts.report),
    path("internal/hosts/<str:host>/logs", hosts.logs),
    path("internal/routers/<str:router>/report", routers.report),
    path("internal/routers/<str:router>/access", routers.access),
    path("internal/images/<str:digest>", images.image),
    path("internal/sources/<uuid:build_id>", images.source),
]
