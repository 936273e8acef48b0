"""Loads in gunicorn's master what every worker needs, so that their memory is shared and no first request waits.

In: a set-up Django.  Out: its URLs and views imported, and the garbage collector told to leave them where they are.
"""

from __future__ import annotations

import gc

from django.urls import get_resolver

from paas.machine_port import URLS


def preload() -> None:
    """Import all views; freeze what is alive: a collection would write to its pages and so copy them (fork(2))."""
    for urls in (None, URLS):
        for pattern in get_resolver(urls).url_patterns:
            getattr(pattern, "url_patterns", None)
    gc.collect()
    gc.freeze()
