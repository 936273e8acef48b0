"""The end of the release phase: notes in the database which release was prepared."""

import os

from django.core.management.base import BaseCommand

from ledger.models import PreparedRelease


class Command(BaseCommand):
    help = "Record that the release phase of this release ran."

    def handle(self, *args, **options):
        version = os.environ.get("HEROKU_RELEASE_VERSION", "local")
        PreparedRelease.objects.create(version=version)
        self.stdout.write(f"release phase: {version} prepared, {PreparedRelease.objects.count()} in all")
