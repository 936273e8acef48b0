"""What an app's code asks to be run: scripts once a release serves, and commands at their times."""

from __future__ import annotations

from django.db import models

from paas.controller.models.apps import App
from paas.controller.models.instances import OneOff
from paas.controller.models.releases import Release


class Script(models.Model):
    """A script of app.json that runs once a release serves; `started_at` says that it was started, once and for all."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="scripts")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(
        max_length=32
    )  # postdeploy: once in an app's life; deployed: once for each release
    command = models.TextField()
    one_off = models.ForeignKey(OneOff, null=True, on_delete=models.SET_NULL, related_name="+")
    started_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "name"], name="one_script_per_release"),
            models.UniqueConstraint(
                fields=["app"], condition=models.Q(name="postdeploy"), name="one_postdeploy_per_app"
            ),
        ]


class CronJob(models.Model):
    """A scheduled command of the release that serves: the entry `number` of its app.json. `paused`: people do not want
    it to start by itself; it stays so for its command whatever release comes."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="cron_jobs")
    number = models.PositiveIntegerField()
    schedule = models.CharField(max_length=200)
    command = models.TextField()
    next_at = models.DateTimeField(db_index=True)
    paused = models.BooleanField(default=False)
    last_at = models.DateTimeField(null=True)
    one_off = models.ForeignKey(OneOff, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "number"], name="one_cron_job_per_entry")]
