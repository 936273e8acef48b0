"""Where an app and its builds may go."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("controller", "0006_images")]

    operations = [
        migrations.AddField("app", "egress", models.JSONField(blank=True, null=True)),
        migrations.AddField("app", "build_egress", models.JSONField(blank=True, null=True)),
    ]
