"""How a command ends when it does not succeed. The exit codes are stable.

In: what went wrong.  Out: a sentence for stderr and the code: 1 refused, 2 usage, 3 not logged in, 4 not reachable.
"""

from __future__ import annotations


class Failure(Exception):
    """The platform refused or failed."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Refused(Failure):
    """An error that the API answered. `id` is stable."""

    def __init__(self, status: int, id: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.id = id


class Usage(Failure):
    """The command line makes no sense as it is."""

    exit_code = 2


class NotLoggedIn(Failure):
    exit_code = 3


class Unreachable(Failure):
    exit_code = 4
