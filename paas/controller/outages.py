"""Failures of what the controller stands on, in words, the same at every door.

In: an exception of the database or the system.  Out: a PaasError that says what to do, None for a fault of our own.
"""

from __future__ import annotations

from django.db import InterfaceError, OperationalError

from paas.errors import Unavailable, storage_full

SIGNS = (OSError, OperationalError, InterfaceError)


def outage(error: Exception) -> Unavailable | None:
    """Return the word for a disk without room, or a database that is busy, restarting or gone."""
    if not isinstance(error, SIGNS):
        return None
    if full := storage_full(error):
        return full
    if isinstance(error, OSError):
        return None
    return Unavailable("The database does not answer at the moment; nothing was changed. Try again soon.")
