"""Buildpacks that somebody else wrote, by Heroku's buildpack API.

In: references in order (`heroku/python`, `./folder`, a git or archive URL).  Out: a compiled tree, as from our own.
"""
