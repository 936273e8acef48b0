"""The two addresses of this app."""

from django.urls import path

from ledger import views

urlpatterns = [path("", views.index), path("health", views.health)]
