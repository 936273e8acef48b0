"""Buildpacks that an app names itself, in order; none: they are detected."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("controller", "0016_join_tokens")]

    operations = [migrations.AddField("app", "buildpacks", models.JSONField(blank=True, default=list))]
