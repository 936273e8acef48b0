"""Hosts that join by themselves: single-use tokens, what a host runs, and routers that came with a host."""

from __future__ import annotations

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("controller", "0015_volumes")]

    operations = [
        migrations.AddField("host", "version", models.CharField(blank=True, default="", max_length=64)),
        migrations.AddField("router", "joined", models.BooleanField(default=False)),
        migrations.CreateModel(
            name="JoinToken",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("name", models.CharField(blank=True, default="", max_length=64)),
                ("expires_at", models.DateTimeField()),
                ("key_digest", models.CharField(blank=True, default="", max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "host",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="controller.host"
                    ),
                ),
            ],
        ),
    ]
