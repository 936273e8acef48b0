"""Passwords that have to be replaced; events that outlive the accounts and apps they are about."""

from django.db import migrations, models
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce


def name_actors_and_apps(apps, schema_editor):
    event = apps.get_model("controller", "Event")
    for field, model, key, column in (
        ("actor_email", "User", "actor_id", "email"),
        ("app_name", "App", "app_id", "name"),
    ):
        found = apps.get_model("controller", model).objects.filter(pk=OuterRef(key)).values(column)[:1]
        event.objects.update(**{field: Coalesce(Subquery(found), models.Value(""))})


class Migration(migrations.Migration):
    dependencies = [("controller", "0001_initial")]

    operations = [
        migrations.AddField("user", "password_temporary", models.BooleanField(default=False)),
        migrations.AddField(
            "event", "actor_email", models.CharField(blank=True, default="", max_length=254)
        ),
        migrations.AddField("event", "app_name", models.CharField(blank=True, default="", max_length=30)),
        migrations.RunPython(name_actors_and_apps, migrations.RunPython.noop),
    ]
