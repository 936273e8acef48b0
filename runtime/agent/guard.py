"""Who may give this agent orders.

In: requests.  Out: nothing, or why not. With mutual TLS it is the controller, and whoever has this host's own key (its
command line); an agent that stands alone knows a bearer token instead.
"""

from __future__ import annotations

import hmac
import ssl

from aiohttp import web

from runtime.config import Settings
from runtime.tls import CONTROLLER, host_identity, identity_of, server_context


class NotAllowed(Exception):
    """`status` and `id` for the answer; the text is a sentence."""

    def __init__(self, status: int, id_: str, message: str) -> None:
        super().__init__(message)
        self.status, self.id = status, id_


class Guard:
    """`context` is what the agent's port is opened with; None: plain HTTP, with the token."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token.encode()
        self._allowed = {CONTROLLER, host_identity(settings.host_id)}
        self.context: ssl.SSLContext | None = None
        if settings.credentials is not None:
            self.context = server_context(settings.credentials)

    def check(self, request: web.Request) -> None:
        """Raises NotAllowed."""
        if self.context is None:
            self._check_token(request)
            return
        transport = request.transport
        who = identity_of(transport.get_extra_info("peercert") if transport else None)
        if who not in self._allowed:
            words = f"This agent takes orders from the controller of its platform only, not from {who or 'anybody'}."
            raise NotAllowed(403, "not_the_controller", words)

    def _check_token(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, self._token):
            raise NotAllowed(401, "unauthorized", "The bearer token is missing or wrong.")
