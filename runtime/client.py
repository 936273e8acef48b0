"""The agent's HTTP API as a synchronous client, for workers and the command line.

In: a base URL, and a TLS context or a token.  Out: values of `runtime.model`; failures are `AgentUnavailable` or
`AgentRefused`.

Thread-safe: one instance may be shared. Imports nothing but urllib3 and the types.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import urllib3

from runtime.model import (
    CopySpec,
    DoctorReport,
    ErrorBody,
    EventPage,
    ExecMade,
    ExecSpec,
    HeldImage,
    HeldImages,
    HostReport,
    Inspection,
    InstanceSpec,
    JobSpec,
    JobStatus,
    LimitsChange,
    LogLine,
    Pruned,
    SignalRequest,
    Struct,
    Usage,
    WantedState,
    decode,
    encode,
)
from runtime.volume_calls import VolumeCalls

T = TypeVar("T", bound=Struct)
SIGN_OF_LIFE_SECONDS = 30.0  # a followed log sends at least an empty line every 10 s
MAX_WAIT = 60.0
STOP_SECONDS = 30.0


class AgentError(Exception):
    """Any failure of a call to an agent."""


class AgentUnavailable(AgentError):
    """The agent did not answer (down, restarting, network). Calls are idempotent: try again."""


class AgentRefused(AgentError):
    """The agent answered with an error: `status` (HTTP), `id` (stable), `message` (a sentence)."""

    def __init__(self, status: int, id: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.id = id
        self.message = message


class AgentClient(VolumeCalls):
    """Calls to one host's agent. `timeout` in seconds bounds each answer (long waits get theirs on top).

    `tls`: of `runtime.tls.client_context`, for an https URL; otherwise the agent wants its token.
    """

    def __init__(
        self, base_url: str, token: str = "", timeout: float = 10.0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._base = base_url.rstrip("/")
        self._timeout = timeout
        self._pool = urllib3.PoolManager(
            maxsize=16,
            retries=urllib3.Retry(total=2, connect=1, read=0, redirect=0, other=0, backoff_factor=0.1),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            **_security(tls),
        )

    def close(self) -> None:
        self._pool.clear()

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def health(self) -> bool:
        """True when the agent answers. Raises AgentUnavailable or AgentRefused (wrong token)."""
        self._ask("GET", "/v1/health")
        return True

    def put_wanted(self, wanted: WantedState) -> HostReport:
        """Hand over what the host must run. AgentRefused 409 `older_generation`: the host has a newer one."""
        return decode(self._ask("PUT", "/v1/wanted", wanted), HostReport)

    def report(self) -> HostReport:
        return decode(self._ask("GET", "/v1/report"), HostReport)

    def put_job(self, spec: JobSpec) -> JobStatus:
        """Start a job; a no-op when it is known. Returns its status."""
        return decode(self._ask("PUT", f"/v1/jobs/{spec.container.id}", spec), JobStatus)

    def job(self, id: str, wait: float = 0) -> JobStatus:
        """Its status, after at most `wait` seconds or when it has ended. AgentRefused 404: not known."""
        path, wait = f"/v1/jobs/{id}", min(wait, MAX_WAIT)
        body = self._ask("GET", f"{path}?wait={wait:.3f}", timeout=self._timeout + wait)
        return decode(body, JobStatus)

    def cancel_job(self, id: str) -> JobStatus:
        """A running job is stopped (TERM, grace, KILL); an ended one is forgotten."""
        return decode(self._ask("DELETE", f"/v1/jobs/{id}"), JobStatus)

    def make_exec(self, id: str, spec: ExecSpec) -> str:
        """Make a further process in a container; it starts when somebody attaches to it, within a minute."""
        return decode(self._ask("POST", f"/v1/containers/{id}/execs", spec), ExecMade).id

    def make_copy(self, id: str, spec: CopySpec) -> str:
        """Promise a copy of files; it starts when somebody attaches to it, within a minute, as to a process."""
        return decode(self._ask("POST", f"/v1/containers/{id}/copies", spec), ExecMade).id

    def inspect(self, id: str) -> Inspection:
        """All that the host knows of a container, for a while also when it is gone. AgentRefused 404: nothing."""
        return decode(self._ask("GET", f"/v1/containers/{id}"), Inspection)

    def change_limits(self, id: str, change: LimitsChange) -> Inspection:
        """Change limits without a restart. AgentRefused 409 `does_not_fit`: the memory in use is more."""
        return decode(self._ask("PATCH", f"/v1/containers/{id}/limits", change), Inspection)

    def signal(self, id: str, number: int) -> Inspection:
        return decode(
            self._ask("POST", f"/v1/containers/{id}/signal", SignalRequest(number=number)), Inspection
        )

    def stop_container(self, id: str) -> Inspection:
        """An instance is stopped and stays so until `start_container`; a job is cancelled."""
        return decode(self._ask("POST", f"/v1/containers/{id}/stop"), Inspection)

    def start_container(self, id: str) -> Inspection:
        return decode(self._ask("POST", f"/v1/containers/{id}/start"), Inspection)

    def restart_container(self, id: str) -> Inspection:
        return decode(self._ask("POST", f"/v1/containers/{id}/restart"), Inspection)

    def put_instance(self, spec: InstanceSpec) -> Inspection:
        """Keep an instance running on this host, whatever a controller wants."""
        return decode(self._ask("PUT", f"/v1/instances/{spec.container.id}", spec), Inspection)

    def remove_instance(self, id: str) -> None:
        """Stop and forget what `put_instance` started."""
        self._ask("DELETE", f"/v1/instances/{id}")

    def images(self) -> tuple[HeldImage, ...]:
        return decode(self._ask("GET", "/v1/images"), HeldImages).images

    def usage(self, id: str) -> Usage:
        return decode(self._ask("GET", f"/v1/containers/{id}/usage"), Usage)

    def events(self, since: int = 0, wait: float = 0) -> EventPage:
        """What happened after event number `since`, after at most `wait` seconds or at the first one."""
        wait = min(wait, MAX_WAIT)
        path = f"/v1/events?since={since}&wait={wait:.3f}"
        return decode(self._ask("GET", path, timeout=self._timeout + wait), EventPage)

    def prune(self) -> Pruned:
        """Clear the host of what nobody needs now, instead of within ten minutes. Returns what went."""
        return decode(self._ask("POST", "/v1/prune", timeout=self._timeout + MAX_WAIT), Pruned)

    def drop_caches(self, owner: str, keep: str = "") -> Pruned:
        """Remove an owner's build caches, but the one named `keep` and those in use. Returns what went."""
        kept = f"?keep={quote(keep, safe='')}" if keep else ""
        return decode(self._ask("DELETE", f"/v1/caches/{quote(owner, safe='')}{kept}"), Pruned)

    def doctor(self, *, repair: bool = False) -> DoctorReport:
        """What is left on the host that nobody answers for; with `repair` it is removed."""
        body = self._ask("POST" if repair else "GET", "/v1/doctor", timeout=self._timeout + MAX_WAIT)
        return decode(body, DoctorReport)

    def stop(self, *, remove: bool = True) -> HostReport:
        """End the agent; with `remove` also every container of the host. Returns the last report."""
        body = b'{"remove":true}' if remove else b'{"remove":false}'
        return decode(self._ask("POST", "/v1/stop", data=body, timeout=STOP_SECONDS), HostReport)

    def logs(
        self, id: str, cursor: int = 0, follow: bool = True, reconnect: float = 30.0
    ) -> Iterator[LogLine]:
        """Yield lines after `cursor` as they are written; ends when the container has ended (or all is read).

        A lost connection is taken up again where it was for `reconnect` seconds, then AgentUnavailable is raised.
        """
        lost_since: float | None = None
        while True:
            try:
                for line in self._log_lines(id, cursor, follow):
                    lost_since = None
                    if line is not None:
                        cursor = max(cursor, line.cursor)
                        yield line
                return
            except AgentUnavailable:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > reconnect:
                    raise
                time.sleep(0.2)

    def _log_lines(self, id: str, cursor: int, follow: bool) -> Iterator[LogLine | None]:
        """One connection's lines; None for each sign of life."""
        path = f"/v1/containers/{id}/logs?cursor={cursor}&follow={int(follow)}"
        response = self._open("GET", path, timeout=SIGN_OF_LIFE_SECONDS)
        rest = b""
        try:
            for chunk in response.stream(None):
                *whole, rest = (rest + chunk).split(b"\n")
                for raw in whole:
                    yield decode(raw, LogLine) if raw else None
        except urllib3.exceptions.HTTPError as error:
            raise self._unavailable(error) from error
        finally:
            response.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: Struct | None = None,
        *,
        data: bytes | Iterable[bytes] | None = None,
        timeout: float | None = None,
    ) -> bytes:
        content = encode(body) if body is not None else data
        response = self._open(method, path, content, timeout)
        try:
            return response.data
        except urllib3.exceptions.HTTPError as error:
            raise self._unavailable(error) from error
        finally:
            response.release_conn()

    def _stream(self, path: str, timeout: float) -> Iterator[bytes]:
        response = self._open("GET", path, timeout=timeout)
        try:
            yield from response.stream(256 * 1024)
        except urllib3.exceptions.HTTPError as error:
            raise self._unavailable(error) from error
        finally:
            response.close()

    def _open(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        timeout: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        limits = urllib3.Timeout(connect=min(self._timeout, 5.0), read=timeout or self._timeout)
        try:
            response = self._pool.request(
                method, self._base + path, body=body, timeout=limits, preload_content=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unavailable(error) from error
        if response.status >= 400:
            raise _refused(response)
        return response

    def _unavailable(self, error: Exception) -> AgentUnavailable:
        return AgentUnavailable(
            f"The agent at {self._base} does not answer ({_reason(error)}). Is it running? "
            "Check it with: python -m runtime doctor"
        )


def _security(tls: ssl.SSLContext | None) -> dict[str, Any]:
    """The context itself looks who answers: names in certificates mean nothing here."""
    return {"ssl_context": tls, "assert_hostname": False} if tls else {}


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, urllib3.exceptions.SSLError):
        return f"no trust: {cause.args[0] if cause.args else cause}"
    return type(cause).__name__


def _refused(response: urllib3.BaseHTTPResponse) -> AgentRefused:
    data = b""
    with suppress(urllib3.exceptions.HTTPError):
        data = response.read(64 * 1024)
    response.release_conn()
    try:
        body = decode(data, ErrorBody)
    except ValueError:
        body = ErrorBody(id="http", message=f"The agent answered {response.status}.")
    return AgentRefused(response.status, body.id, body.message)
