"""Images built from Dockerfiles: which ones, how, and why one could not be built.

In: a source with a Dockerfile or heroku.yml.  Out: images of process types, for the platform to flatten.
"""
