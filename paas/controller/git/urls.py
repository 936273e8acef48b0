"""URLs of git over HTTP: `/<app>.git/...`. In: nothing.  Out: `urlpatterns` for the git process' ROOT_URLCONF."""

from __future__ import annotations

from django.urls import re_path

from paas.controller.git import views

_APP = r"^(?P<app>[^/]{1,128})\.git"

urlpatterns = [
    re_path(_APP + r"/info/refs$", views.info_refs),
    re_path(_APP + r"/git-receive-pack$", views.receive_pack),
    re_path(_APP + r"/git-upload-pack$", views.upload_pack),
    re_path(_APP + r"(?:/.*)?$", views.hint),
]
