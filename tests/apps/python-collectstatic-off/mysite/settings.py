import os

SECRET_KEY = os.environ["ONLY_AT_RUN_TIME"]
INSTALLED_APPS = ["django.contrib.staticfiles"]
