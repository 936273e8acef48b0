"""HTTP for somebody else's URL: every connection, redirected ones too, goes where `addresses` lets it.

In: a URL, limits.  Out: a file with its SHA-256, or SourceError in the user's words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from paas.sources.addresses import Reach
from paas.sources.cutoff import Cutoff, too_slow
from paas.sources.errors import SourceError

CHUNK = 256 * 1024
REDIRECTS = 5
TIMEOUT = urllib3.Timeout(connect=10, read=30)
AGENT = "paas-source/1"


@dataclass(frozen=True)
class Bounds:
    """What a download may cost: bytes as they come, seconds in all."""

    size: int = 500 * 1024**2
    seconds: float = 600.0


def pool_of(reach: Reach, cutoff: Cutoff, ca_bundle: Path | None = None) -> urllib3.PoolManager:
    """Make a pool of connections that keep to `reach` and end with `cutoff`. No proxy, no retries."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> Any:
            return connected(self, reach, cutoff)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> Any:
            return connected(self, reach, cutoff)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Tls

    trust = {"ca_certs": str(ca_bundle)} if ca_bundle is not None and ca_bundle.is_file() else {}
    pool = urllib3.PoolManager(
        retries=urllib3.Retry(total=REDIRECTS, connect=0, read=0, status=0, redirect=REDIRECTS),
        headers={"User-Agent": AGENT},
        timeout=TIMEOUT,
        **trust,  # type: ignore[arg-type]
    )
    pool.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return pool


def connected(connection: HTTPConnection, reach: Reach, cutoff: Cutoff) -> Any:
    """Open a connection's socket to an address that was looked at; names in TLS and headers stay the user's."""
    address = reach.address(connection.host, connection.port or connection.default_port)
    try:
        opened = create_connection(
            (address, connection.port or connection.default_port),
            connection.timeout,
            source_address=connection.source_address,
            socket_options=connection.socket_options,
        )
        cutoff.hold(opened)
        return opened
    except OSError as error:
        raise SourceError(f"{connection.host} does not answer ({error}).") from error


def check_url(url: str) -> str:
    """Return a URL that can be fetched. Raises SourceError saying what is wrong with it."""
    try:
        parts = urlsplit(url)
        named = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"The URL cannot be read ({error}).", id="source_forbidden") from error
    if parts.scheme not in {"http", "https"} or not named[0]:
        raise SourceError("A source is fetched from an http or https URL.", id="source_forbidden")
    if parts.username or parts.password:
        raise SourceError(
            "The URL of a source holds no user or password: everybody who sees the app's builds would see them.",
            id="source_forbidden",
        )
    if any(one <= " " or one == "\x7f" for one in url) or len(url) > 2000:
        raise SourceError("The URL holds blanks or is longer than 2000 characters.", id="source_forbidden")
    return url


def shown(url: str) -> str:
    """Return a URL without its query, in which signed URLs have their secret."""
    return url.partition("#")[0].partition("?")[0]


def download(
    url: str,
    target: Path,
    reach: Reach,
    bounds: Bounds = Bounds(),
    ca: Path | None = None,
    wanted: Callable[[], None] = lambda: None,
) -> str:
    """Write what the URL answers to `target`; returns its SHA-256 in hex. `wanted` is called about once a second, and
    raises to stop it. Raises SourceError."""
    name = shown(check_url(url))
    with Cutoff(bounds.seconds, wanted) as cutoff:
        pool = pool_of(reach, cutoff, ca)
        try:
            return _downloaded(pool, url, target, bounds, cutoff)
        except urllib3.exceptions.HTTPError as error:
            if cutoff.over:
                raise too_slow(name, bounds.seconds) from error
            raise SourceError(
                f"{name} could not be fetched ({reason_of(error)}). Check the URL, or try again later."
            ) from error
        finally:
            pool.clear()


def _downloaded(pool: urllib3.PoolManager, url: str, target: Path, bounds: Bounds, cutoff: Cutoff) -> str:
    answer = pool.request("GET", url, preload_content=False, headers={"Accept-Encoding": "identity"})
    try:
        if answer.status != 200:
            raise SourceError(
                f"{shown(url)} answered with status {answer.status}. Check the URL: it must open without a login."
            )
        return _written(answer, target, bounds, cutoff, shown(url))
    finally:
        answer.close()


def _written(
    answer: urllib3.BaseHTTPResponse, target: Path, bounds: Bounds, cutoff: Cutoff, name: str
) -> str:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while piece := answer.read1(CHUNK, decode_content=False):
            size += len(piece)
            if size > bounds.size:
                raise SourceError(
                    f"{name} is larger than {bounds.size // 1024**2} MB. Leave out what the app does not need.",
                    id="source_too_large",
                )
            cutoff.check(name)
            digest.update(piece)
            file.write(piece)
    cutoff.check(name)  # an answer without a length ends when its connection does
    return digest.hexdigest()


def reason_of(error: BaseException) -> str:
    """The innermost words, without what was around them."""
    inner: BaseException = error
    while (deeper := getattr(inner, "reason", None) or inner.__cause__) and isinstance(deeper, BaseException):
        inner = deeper
    return str(inner).rpartition(": ")[2].strip("()'")[:300] or type(inner).__name__
