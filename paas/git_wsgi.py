"""The WSGI application that gunicorn serves for git over HTTP, in a process of its own.

Indexing a pack holds the GIL for long stretches; next to the API it would delay every request there.
"""

import os

from django.core.wsgi import get_wsgi_application

from paas.preload import preload

os.environ["DJANGO_SETTINGS_MODULE"] = "paas.settings_git"

application = get_wsgi_application()
preload()
