"""The audit trail: one row per change, written in the transaction that makes it."""

from __future__ import annotations

from django.db import models

from paas.controller.models.accounts import User
from paas.controller.models.apps import App


class Event(models.Model):
    """Who did what to which thing. `data` never holds a secret: config values are left out, names stay.

    Address and name are kept as they were: accounts and apps go, what they did stays.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    app = models.ForeignKey(App, null=True, on_delete=models.SET_NULL, related_name="events")
    actor_email = models.CharField(max_length=254, blank=True, default="")
    app_name = models.CharField(max_length=30, blank=True, default="")
    action = models.CharField(max_length=64)  # release.create, app.destroy, ...
    resource = models.CharField(max_length=64)  # the id or name of the thing
    data = models.JSONField(default=dict)
