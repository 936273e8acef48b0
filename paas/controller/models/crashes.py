"""What is kept of runs that ended on their own."""

from __future__ import annotations

from django.db import models

from paas.controller.models.apps import App


class Crash(models.Model):
    """One run of an instance that nobody had asked to end. It outlives the instance; `run` 1 is the first."""

    id = models.BigAutoField(primary_key=True)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="crashes")
    instance = models.UUIDField()
    run = models.PositiveIntegerField()
    dyno = models.CharField(max_length=80)  # web.1
    version = models.PositiveIntegerField()  # of the release
    host = models.CharField(max_length=255)
    exit = models.JSONField()  # runtime.model.ExitInfo, with its first and last lines
    started_at = models.DateTimeField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "at"], name="one_crash_per_moment")]
        indexes = [models.Index(fields=["app", "-at"], name="crashes_of_app")]

    def __str__(self) -> str:
        return f"{self.dyno}, run {self.run}"
