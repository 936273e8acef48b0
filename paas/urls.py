"""The doors of the web process: API and dashboard. What agents and routers call has a port and paths of its own."""

from django.urls import include, path

urlpatterns = [
    path("", include("paas.controller.api.registry.urls")),
    path("", include("paas.controller.api.urls")),
    path("", include("paas.controller.dashboard.urls")),
]
