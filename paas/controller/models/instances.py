"""What runs on hosts: instances of process types, and one-off processes."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.accounts import User
from paas.controller.models.apps import App
from paas.controller.models.hosts import Host
from paas.controller.models.releases import Release


class Instance(models.Model):
    """One container that must run. Made by the planner; its state is what its host last reported."""

    class Wanted(models.TextChoices):
        RUN = "run"
        DRAIN = "drain"  # takes no new requests; those in flight end
        STOP = "stop"  # no longer in the host's wanted state

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="instances")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="instances")
    process_type = models.CharField(max_length=64)
    number = models.PositiveIntegerField()
    template = models.CharField(
        max_length=64
    )  # hash of image, config, command and size: same hash, no restart
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="instances")
    spec = models.BinaryField()  # encrypted runtime.model.InstanceSpec (it holds config values)
    memory_bytes = models.PositiveBigIntegerField(default=0)  # its size's limit: what its host promised to it
    wanted = models.CharField(max_length=8, choices=Wanted.choices, default=Wanted.RUN)
    wanted_since = models.DateTimeField()
    drained = models.BooleanField(default=False)  # every router said: no request in flight
    drained_on = models.JSONField(default=list)  # ids of the routers that said so
    reason = models.CharField(max_length=200)  # why the planner made, drained or stopped it
    state = models.CharField(max_length=16, default="pending")  # runtime.model.InstanceState
    state_since = models.DateTimeField()
    address = models.CharField(max_length=64, blank=True)
    port = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField(null=True)  # its process, in this run
    restarts = models.PositiveIntegerField(default=0)
    last_exit = models.JSONField(null=True)  # runtime.model.ExitInfo
    resize_problem = models.CharField(max_length=200, blank=True)  # why its new size is not in force
    health_problem = models.CharField(
        max_length=400, blank=True
    )  # what its last check found, while it is unhealthy
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    @property
    def name(self) -> str:
        return f"{self.process_type}.{self.number}"


class Departure(models.Model):
    """A host that had instances of an app: the last lines of one that is gone may come after its row went."""

    id = models.BigAutoField(primary_key=True)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="+")
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "app"], name="one_departure_per_app_and_host")]

    def __str__(self) -> str:
        return f"{self.app_id} from {self.host_id}"


class OneOff(models.Model):
    """A process that runs once: `paas run`, or the release phase of a deployment (`deployment` set)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="one_offs")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="one_offs")
    deployment = models.OneToOneField(
        "controller.Deployment", null=True, on_delete=models.CASCADE, related_name="release_command"
    )
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="one_offs")
    name = models.CharField(max_length=64)  # run.4711, release.4711
    command = models.TextField()
    size = models.CharField(max_length=32)
    spec = models.BinaryField()  # encrypted runtime.model.JobSpec
    state = models.CharField(max_length=16, default="pending")  # runtime.model.JobState
    exit = models.JSONField(null=True)  # runtime.model.ExitInfo
    sent_at = models.DateTimeField(null=True)
    stop_requested = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "name"], name="one_one_off_per_name")]
