"""The WSGI application that gunicorn serves for the API, the dashboard and the internal endpoints."""

import os

from django.core.wsgi import get_wsgi_application

from paas.preload import preload

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paas.settings")

application = get_wsgi_application()
preload()
