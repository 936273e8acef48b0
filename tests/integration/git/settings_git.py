"""Django for the tests of git over HTTP. In: PAAS_GIT_TEST_ROOT, a folder.  Out: settings with a fake backend there."""

import json
import os
from pathlib import Path

ROOT = Path(os.environ["PAAS_GIT_TEST_ROOT"])
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "paas.controller.git.urls"
MIDDLEWARE: list[str] = []
INSTALLED_APPS: list[str] = []
DATABASES: dict[str, dict[str, str]] = {}
USE_TZ = True
PAAS_GIT_BACKEND = "fake_backend.FileBackend"
PAAS_GIT_KEEPALIVE = 0.3
globals().update(json.loads(os.environ.get("PAAS_GIT_TEST_SETTINGS", "{}")))
