"""Django's settings for the process that serves git: the controller's, with its own URLs and nothing for browsers.

In: `paas.settings`.  Out: module constants that Django reads.
"""

from paas.settings import *  # noqa: F403

ROOT_URLCONF = "paas.urls_git"
WSGI_APPLICATION = "paas.git_wsgi.application"
MIDDLEWARE = ["paas.middleware.RequestIdMiddleware"]
TEMPLATES = []
