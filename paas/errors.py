"""The one error base of the platform: raised anywhere, rendered in one place per door (API, git, dashboard, CLI).

In: what went wrong.  Out: a stable id, an HTTP status and a sentence that says what to do next.
"""

from __future__ import annotations

import errno


class PaasError(Exception):
    """Something the user can act on. `id` is stable; `message` says what happened and what to do next."""

    id = "internal_error"
    status = 500

    def __init__(
        self, message: str, *, id: str | None = None, app: str | None = None, resource: str | None = None
    ):
        super().__init__(message)
        self.message = message
        self.app = app
        self.resource = resource
        if id is not None:
            self.id = id


class BadRequest(PaasError):
    id, status = "bad_request", 400


class Unauthorized(PaasError):
    id, status = "unauthorized", 401


class Forbidden(PaasError):
    id, status = "forbidden", 403


class Removed(PaasError):
    """A machine that is no part of the platform any more."""

    id, status = "removed", 403


class NotFound(PaasError):
    id, status = "not_found", 404


class NotAcceptable(PaasError):
    id, status = "not_acceptable", 406


class Conflict(PaasError):
    id, status = "conflict", 409


class RangeNotSatisfiable(PaasError):
    id, status = "requested_range_not_satisfiable", 416


class InvalidParams(PaasError):
    id, status = "invalid_params", 422


class RateLimited(PaasError):
    id, status = "rate_limit", 429


class Unavailable(PaasError):
    """A part of the platform does not answer at the moment; nothing was changed."""

    id, status = "service_unavailable", 503


class StorageFull(Unavailable):
    """The platform's disk, or the database's, has no room."""

    id = "storage_full"


FULL = (
    "database or disk is full",
    "No space left on device",
)  # SQLite's words; PostgreSQL's and the system's


def storage_full(error: BaseException) -> StorageFull | None:
    """Return the platform's word for an error that comes from a full disk, None for any other."""
    cause: BaseException | None = error
    while cause is not None:
        no_space = isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}
        if no_space or any(words in str(cause) for words in FULL):
            return StorageFull(
                "The disk of the platform is full; nothing was changed. Its operator has to free space; "
                "then try again."
            )
        cause = cause.__cause__
    return None
