import os
from pathlib import Path

from django.http import HttpResponse
from django.urls import path

ROOT = Path(__file__).resolve().parent.parent


def home(request):
    seen = [
        f"static {(ROOT / 'staticfiles' / 'site.css').exists()}",
        f"before {(ROOT / 'before.txt').read_text().strip()}",
        f"after {(ROOT / 'after.txt').read_text().strip()}",
        f"workers {os.environ['WEB_CONCURRENCY']}",
    ]
    return HttpResponse(", ".join(seen))


urlpatterns = [path("", home)]
