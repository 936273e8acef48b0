"""The door of the git process: smart HTTP and nothing else."""

from django.urls import include, path

urlpatterns = [path("", include("paas.controller.git.urls"))]
