"""Django's handle on the controller."""

from django.apps import AppConfig


class ControllerConfig(AppConfig):
    name = "paas.controller"
    label = "controller"
