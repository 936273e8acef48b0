"""The REST API, as the commands use it.

In: a method, a path, a JSON body.  Out: parsed JSON, streams of lines, or a Failure with a sentence.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import urllib3

from paas.cli.failures import Failure, NotLoggedIn, Refused, Unreachable

ACCEPT = "application/vnd.heroku+json; version=3"
TIMEOUT = urllib3.Timeout(connect=5, read=60)
STREAM_TIMEOUT = urllib3.Timeout(connect=5, read=45)  # the platform sends a heartbeat every 10 s


def segment(text: str) -> str:
    """Return text as one segment of a path."""
    return quote(text, safe="")


@dataclass(frozen=True)
class Event:
    """One server-sent event; `id` resumes the stream after it."""

    id: str
    data: str


def _basic(email: str, password: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{email}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


class Api:
    """One platform, with one token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.token = token
        self._pool = urllib3.PoolManager(retries=False, headers={"User-Agent": "paas-cli", "Accept": ACCEPT})

    def close(self) -> None:
        self._pool.clear()

    def get(self, path: str, **headers: str) -> Any:
        return self._call("GET", path, None, headers)[0]

    def text(self, path: str) -> str:
        """Return a plain text that needs no token."""
        response = self._send("GET", self.url + path, TIMEOUT, {})
        if response.status != 200:
            self._read(response, response.data)
        return response.data.decode()

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("POST", path, body or {}, {})[0]

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PATCH", path, body, {})[0]

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PUT", path, body, {})[0]

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("DELETE", path, body, {})[0]

    def list(self, path: str, wanted: str = "") -> list[Any]:
        """Return every row of a list, page by page; with a `wanted` range only that page."""
        rows: list[Any] = []
        following = wanted
        while True:
            page, headers = self._call("GET", path, None, {"Range": following} if following else {})
            rows += page
            following = headers.get("Next-Range", "")
            if wanted or not following:
                return rows

    def upload(self, url: str, file: Path) -> None:
        """PUT a file to a URL that needs no token."""
        with file.open("rb") as content:
            headers = {"Content-Length": str(file.stat().st_size)}
            response = self._send("PUT", url, STREAM_TIMEOUT, headers, content)
        if response.status >= 400:
            self._read(response, response.data)

    def login(self, email: str, password: str, description: str, expires_in: int) -> str:
        """Return a new token for an account."""
        body = {"description": description, "expires_in": expires_in, "scope": ["global"]}
        headers = _basic(email, password)
        answer = self._call("POST", "/oauth/authorizations", body, headers, login=True)[0]
        return str(answer["access_token"]["token"])

    def replace_password(self, email: str, old: str, new: str) -> None:
        """Change the password of an account that has no token yet."""
        body = {"password": old, "new_password": new}
        self._call("PATCH", "/account", body, _basic(email, old), login=True)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        *,
        login: bool = False,
    ) -> tuple[Any, Mapping[str, str]]:
        sent = dict(headers) if login else {**self._authorization(), **headers}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            sent["Content-Type"] = "application/json"
        response = self._send(method, self.url + path, TIMEOUT, sent, content)
        return self._read(response, response.data, login), response.headers

    def _authorization(self) -> dict[str, str]:
        if not self.token:
            raise NotLoggedIn(f"You are not logged in to {self.url}. Run `paas login`, or set PAAS_TOKEN.")
        return {"Authorization": f"Bearer {self.token}"}

    def _send(
        self,
        method: str,
        url: str,
        timeout: urllib3.Timeout,
        headers: Mapping[str, str],
        body: bytes | BinaryIO | None = None,
        *,
        preload: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        merged = {**self._pool.headers, **headers}
        try:
            return self._pool.request(
                method, url, body=body, headers=merged, timeout=timeout, preload_content=preload
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = str(getattr(error, "reason", None) or error).rpartition(": ")[2] or type(error).__name__
        return Unreachable(
            f"Cannot reach the platform at {self.url} ({reason}). Is it running? Another one: --url or PAAS_URL."
        )

    def _read(self, response: urllib3.BaseHTTPResponse, data: bytes, login: bool = False) -> Any:
        try:
            value = json.loads(data) if data else {}
        except ValueError as error:
            raise Failure(
                f"{self.url} answered with status {response.status} and no JSON. Is this the platform's API address?"
            ) from error
        if response.status < 400:
            return value
        message = str(value.get("message") or f"The platform answered with status {response.status}.")
        if response.status == 401 and not login:
            raise NotLoggedIn(f"{self.url} does not accept your token. Run `paas login` to get a new one.")
        raise Refused(response.status, str(value.get("id", "")), message)

    def lines(self, url: str) -> Iterator[str]:
        """Yield the lines of a plain text stream, until it ends."""
        with self._stream(url, {"Accept": "text/plain"}) as response:
            yield from self._lines(response)

    def events(self, url: str, after: str = "") -> Iterator[Event]:
        """Yield the server-sent events of a stream (WHATWG HTML 9.2), until it ends."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        event_id = ""
        data: list[str] = []
        with self._stream(url, headers) as response:
            for line in self._lines(response):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line and data:
                    yield Event(event_id, "\n".join(data))
                    data = []
                elif name == "id":
                    event_id = value
                elif name == "data":
                    data.append(value)

    def _stream(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        response = self._send("GET", url, STREAM_TIMEOUT, headers, preload=False)
        if response.status != 200:
            with response:
                self._read(response, response.read())
        return response

    def _lines(self, response: urllib3.BaseHTTPResponse) -> Iterator[str]:
        pending = b""
        try:
            while chunk := response.read1(64 * 1024):
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    yield line.decode("utf-8", "replace")
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if pending:
            yield pending.decode("utf-8", "replace")
