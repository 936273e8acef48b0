"""Purging an app's build cache.

In: an app.  Out: the next build begins with an empty cache, on whichever host; the old one's space is given back.
"""

from __future__ import annotations

from django.db import transaction

from paas.controller.models import App, User
from paas.controller.queue import enqueue
from paas.controller.services import events
from paas.controller.services.locking import lock_app


@transaction.atomic
def purge_cache(user: User | None, app: App) -> App:
    """Give up the cache. A build that runs goes on with the old one, which then goes too."""
    app = lock_app(app.id)
    app.cache_generation += 1
    app.save(update_fields=["cache_generation", "updated_at"])
    events.record(user, "build.cache_purge", app.id, app)
    enqueue("caches.drop_caches", str(app.id))
    return app
