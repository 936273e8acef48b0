"""Django's settings, derived from `paas.configuration`.

In: the configuration and the secrets of this installation.  Out: module constants that Django reads.
"""

from __future__ import annotations

import os
from pathlib import Path

import dj_database_url

from paas.configuration import configuration
from paas.secrets import make_secrets

PAAS = configuration()
SECRETS = make_secrets(PAAS.home)
BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = SECRETS.django_key
DEBUG = PAAS.debug
# Names are checked by the router; the API is also called by address and by any name that points here.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "paas.urls"
WSGI_APPLICATION = "paas.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "controller.User"
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "paas.controller",
]

MIDDLEWARE = [
    "paas.machine_port.MachinePortMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "paas.middleware.RequestIdMiddleware",
    "paas.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
            "builtins": ["paas.controller.dashboard.formats"],
        },
    }
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
STATIC_ROOT = PAAS.home / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

DATABASES = {
    "default": dj_database_url.config(
        env="DATABASE_URL",
        default=f"sqlite:///{PAAS.home}/paas.sqlite3",
        conn_max_age=60,
        conn_health_checks=True,  # a PostgreSQL that was started anew costs no request
    )
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction takes the write lock at its start, so that none fails halfway with "locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=30000;",
    }

REDIS_URL = PAAS.redis_url
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = f"paas_session_{PAAS.api_port}"  # platforms on one host name must not share a cookie
CSRF_COOKIE_NAME = f"paas_csrf_{PAAS.api_port}"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024**2

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["paas.controller.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["paas.controller.api.rendering.HerokuRenderer"],
    "DEFAULT_PARSER_CLASSES": ["paas.controller.api.rendering.HerokuParser"],
    "EXCEPTION_HANDLER": "paas.controller.api.errors.handle",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "paas",
    "DESCRIPTION": "The platform's REST API, in the style of the Heroku Platform API v3.",
    "VERSION": "3",
    "SERVE_INCLUDE_SCHEMA": False,
}

PAAS_GIT_BACKEND = "paas.controller.services.pushes.PushBackend"
PAAS_GIT_MAX_PACK = PAAS.git_max_pack
PAAS_GIT_QUOTA = PAAS.git_quota
PAAS_GIT_BUILD_SILENCE = max(PAAS.build_timeout, 3600) + 60  # the last resort: what runs has its own limits

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    # Two lines for each tick would fill the worker's log.
    "loggers": {name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.worker.strategy")},
}
