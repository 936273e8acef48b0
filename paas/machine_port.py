"""The port of the web process that speaks mutual TLS with agents and routers, beside the plain one of the API.

In: gunicorn's listeners; connections.  Out: each request with the identity of who sent it, and only its own paths.

What tells the two apart is the connection itself, never a header: nobody can claim to have come by the other port.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from gunicorn.workers.gthread import TConn, ThreadWorker

from paas.configuration import configuration
from runtime.tls import identity_of, server_context

log = logging.getLogger(__name__)

URLS = "paas.controller.internal.urls"
HANDSHAKE_SECONDS = 5.0
HANDSHAKES = 8  # at once: who connects and is silent must not take all of the process' threads
_handshakes = threading.BoundedSemaphore(HANDSHAKES)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker of threads, of which one listener speaks TLS."""

    def init_process(self) -> None:
        settings = configuration()
        self._port = settings.machine_port
        # A machine that joins has no certificate yet; every other path asks for one.
        self._context = server_context(settings.credentials("controller"), strangers=True)
        super().init_process()

    def accept(self, listener: Any) -> None:
        if listener.getsockname()[1] != self._port:
            super().accept(listener)
            return
        try:
            client, address = listener.accept()
        except OSError:
            return
        self.nr_conns += 1
        self.enqueue_req(_Secured(self.cfg, client, address, listener.getsockname(), self._context))


class _Secured(TConn):  # type: ignore[misc]
    """A connection that shakes hands before its first request, in the thread that serves it."""

    def __init__(self, cfg: Any, sock: Any, client: Any, server: Any, context: ssl.SSLContext) -> None:
        super().__init__(cfg, sock, client, server)
        self.sock: Any
        self._context = context

    def init(self) -> None:
        if not self.initialized:
            self.sock = _shake_hands(self.sock, self._context, self.client)
        super().init()


def _shake_hands(sock: socket.socket, context: ssl.SSLContext, client: Any) -> ssl.SSLSocket:
    """Raises ConnectionResetError, which gunicorn takes for a client that has left."""
    if not _handshakes.acquire(blocking=False):
        raise ConnectionResetError(104, "too many handshakes at once")
    try:
        sock.settimeout(HANDSHAKE_SECONDS)
        secured = context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True)
        secured.settimeout(None)
        return secured
    except OSError as error:
        log.info("no TLS with %s: %s", client[0] if client else "a client", error)
        raise ConnectionResetError(104, "no handshake") from error
    finally:
        _handshakes.release()


class MachinePortMiddleware:
    """Give requests of this port their own paths, and `request.machine`: the identity in the sender's certificate.

    Requests of the API's port have neither.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        connection = request.META.get("gunicorn.socket")
        if isinstance(connection, ssl.SSLSocket):
            request.machine = identity_of(connection.getpeercert())  # type: ignore[attr-defined]
            request.urlconf = URLS
        return self.get_response(request)
