"""A router's control API, called by the controller. In: a table. Out: the router's report, once HAProxy serves it."""

from __future__ import annotations

import ssl
from typing import Any

import urllib3

from paas.router.table import ErrorBody, RouterReport, RouteTable, decode, encode

APPLY_TIMEOUT = 20.0
QUICK_TIMEOUT = 5.0
STOP_TIMEOUT = 20.0


class RouterUnavailable(Exception):
    """The router did not answer, or not in time. Trying again later is safe."""


class RouterRefused(Exception):
    """The router answered with an error. `status` and `id` say which; trying the same again will not help."""

    def __init__(self, status: int, id_: str, message: str) -> None:
        super().__init__(message)
        self.status, self.id = status, id_


class RouterClient:
    """One router, by its control API's base URL (`https://127.0.0.1:5020`). Safe to share between threads.

    `tls`: of `runtime.tls.client_context`; with an http URL the router wants its token instead.
    """

    def __init__(self, base_url: str, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._base = base_url.rstrip("/")
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        self._headers = {**shown, "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(maxsize=4, retries=False, **_security(tls))

    def put_table(self, table: RouteTable) -> RouterReport:
        """Have the router serve `table` and return its report. Raises RouterUnavailable or RouterRefused."""
        return self._call("PUT", "/v1/table", encode(table), APPLY_TIMEOUT)

    def report(self) -> RouterReport:
        """Return the router's state. Raises RouterUnavailable or RouterRefused."""
        return self._call("GET", "/v1/report", b"", QUICK_TIMEOUT)

    def stop(self) -> RouterReport:
        """End HAProxy, after at most 5 s for running requests. Raises RouterUnavailable or RouterRefused."""
        return self._call("POST", "/v1/stop", b"", STOP_TIMEOUT)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _call(self, method: str, path: str, body: bytes, timeout: float) -> RouterReport:
        limits = urllib3.Timeout(connect=2.0, read=timeout)
        try:
            response = self._pool.request(
                method, self._base + path, body=body or None, headers=self._headers, timeout=limits
            )
        except urllib3.exceptions.HTTPError as error:
            raise RouterUnavailable(f"the router at {self._base} does not answer: {error}") from error
        if response.status == 200:
            return decode(response.data, RouterReport)
        raise _error(self._base, response.status, response.data)


def _security(tls: ssl.SSLContext | None) -> dict[str, Any]:
    """The context itself looks who answers: names in certificates mean nothing here."""
    return {"ssl_context": tls, "assert_hostname": False} if tls else {}


def _error(base: str, status: int, data: bytes) -> RouterUnavailable | RouterRefused:
    try:
        body = decode(data, ErrorBody)
    except ValueError:
        body = ErrorBody(id="unknown", message=f"the router at {base} answered {status}")
    if status >= 500:
        return RouterUnavailable(body.message)
    return RouterRefused(status, body.id, body.message)
