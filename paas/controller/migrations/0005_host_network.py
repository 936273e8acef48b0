"""Where a host's containers and the host itself are, for its peers."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("controller", "0004_release_kernel")]

    operations = [
        migrations.AddField("host", "subnet", models.CharField(blank=True, default="", max_length=18)),
        migrations.AddField("host", "underlay", models.CharField(blank=True, default="", max_length=45)),
        migrations.AddField("host", "public_key", models.CharField(blank=True, default="", max_length=64)),
    ]
