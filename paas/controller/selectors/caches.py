"""Which cache a build works with: one per app and stack, until it is purged.

In: an app.  Out: the name its hosts know the cache by.
"""

from __future__ import annotations

from paas.controller.models import App


def cache_name(app: App, stack: str) -> str:
    """Return the name of the app's build cache. A purge counts up, so that no host can go on with an old one."""
    generation = f"-{app.cache_generation}" if app.cache_generation else ""
    return f"{app.id}-{stack}{generation}"
