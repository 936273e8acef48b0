"""The page: which releases the release phase has prepared, as far as this process's database knows."""

import os

from django.db import DatabaseError
from django.http import HttpResponse
from django.shortcuts import render

from .models import PreparedRelease


def index(request):
    try:
        prepared = list(PreparedRelease.objects.all()[:10])
    except DatabaseError:
        # without DATABASE_URL the release phase wrote to the file of its own container
        prepared = None
    context = {
        "app": os.environ.get("HEROKU_APP_NAME", "django-release"),
        "release": os.environ.get("HEROKU_RELEASE_VERSION", "unknown"),
        "instance": os.environ.get("DYNO", "local"),
        "prepared": prepared,
    }
    return render(request, "ledger/index.html", context)


def health(request):
    return HttpResponse("ok\n", content_type="text/plain")
