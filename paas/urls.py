"""The doors of the web process: API, dashboard, internal endpoints."""

from django.urls import include, path

urlpatterns = [
    path("", include("paas.controller.internal.urls")),
    path("", include("paas.controller.api.urls")),
    path("", include("paas.controller.dashboard.urls")),
]
