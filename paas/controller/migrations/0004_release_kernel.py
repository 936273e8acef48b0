"""Kernel parameters of an app, as part of its releases."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("controller", "0003_release_expired")]

    operations = [
        migrations.AddField("release", "kernel", models.JSONField(default=dict)),
        migrations.AlterField(
            "release",
            "kind",
            models.CharField(
                choices=[
                    ("initial", "Initial"),
                    ("deploy", "Deploy"),
                    ("config", "Config"),
                    ("formation", "Formation"),
                    ("domains", "Domains"),
                    ("kernel", "Kernel"),
                    ("rollback", "Rollback"),
                ],
                max_length=16,
            ),
        ),
    ]
