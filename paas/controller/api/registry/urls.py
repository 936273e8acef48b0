"""The paths of the OCI distribution API. NAME is APP or APP/PROCESS_TYPE."""

from __future__ import annotations

from django.urls import path, re_path

from paas.controller.api.registry import views

NAME = r"^v2/(?P<name>[^/]+(?:/[^/]+)*?)"
UPLOAD = r"(?P<upload>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"

urlpatterns = [
    re_path(r"^v2/?$", views.ping),
    path("v2/token", views.token),
    path("v2/_catalog", views.catalog),
    re_path(rf"{NAME}/manifests/(?P<reference>[^/]+)$", views.manifest),
    re_path(rf"{NAME}/blobs/uploads/?$", views.begin),
    re_path(rf"{NAME}/blobs/uploads/{UPLOAD}$", views.upload),
    re_path(rf"{NAME}/blobs/(?P<digest>[^/]+)$", views.one_blob),
    re_path(rf"{NAME}/tags/list$", views.tags),
    re_path(rf"{NAME}/referrers/(?P<digest>[^/]+)$", views.referrers),
]
