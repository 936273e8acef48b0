"""A slug's dependencies are images of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("controller", "0012_networks"),
    ]

    operations = [
        migrations.AddField(
            model_name="slug",
            name="layers",
            field=models.JSONField(default=list),
        ),
    ]
