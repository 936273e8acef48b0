"""A host agent and a router as small real HTTP servers, and a worker that takes tasks from the real queue.

In: what the controller sends over HTTP and through Redis.  Out: reports to its internal endpoints.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.test import Client

from paas import authority
from paas.controller.models import Host, Router
from paas.controller.redis_connection import client as redis_client
from paas.controller.selectors.dynos import as_uuid
from paas.router import table as routing
from runtime import model
from runtime.tls import (
    CONTROLLER,
    Credentials,
    host_identity,
    identity_of,
    router_identity,
    server_context,
)

GIB = 1024**3
CRASH = model.ExitInfo(reason=model.ExitReason.EXITED, code=1, tail=("Traceback", "KeyError: 'A'"))
NO_ADDRESS = "https://127.0.0.1:1"  # nothing listens there


@dataclass
class Agent:
    """One host. Instances become `obeys` (up unless told otherwise); jobs end as `jobs_end` says, if at all."""

    host: Host
    generation: int = 0
    wanted: dict[str, model.InstanceSpec] = field(default_factory=dict)
    instances: dict[str, model.InstanceStatus] = field(default_factory=dict)
    jobs: dict[str, model.JobStatus] = field(default_factory=dict)
    specs: dict[str, model.JobSpec] = field(default_factory=dict)
    output: dict[str, list[str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)  # build caches: `OWNER?keep=NAME`
    refuses: str = ""
    obeys: Callable[[model.InstanceSpec], model.InstanceState] = lambda spec: model.InstanceState.UP
    names: dict[str, str] = field(default_factory=dict)  # of apps, as containers find each other by
    offer: model.Offer = field(default_factory=model.Offer)
    exit: model.ExitInfo = CRASH
    job_ends: Callable[[str], model.JobStatus] | None = None  # at once, when it is given
    runs: dict[str, tuple[model.EndedRun, ...]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self, wanted: model.WantedState) -> None:
        with self.lock:
            if wanted.generation < self.generation:
                return
            self.generation = wanted.generation
            self.names = dict(wanted.apps)
            self.wanted = {spec.container.id: spec for spec in wanted.instances}

    def obey(self) -> None:
        """Bring every wanted instance into its state, and stop what is no longer wanted."""
        with self.lock:
            for number, (id_, spec) in enumerate(self.wanted.items(), start=2):
                known = self.instances.get(id_)
                state = self.obeys(spec)
                if known is None or known.state is not state:
                    ended = {"last_exit": self.exit} if state is model.InstanceState.CRASHED else {}
                    self.set(id_, state, address=f"10.1.0.{number}", port=spec.container.port, **ended)
            self.instances = {id_: one for id_, one in self.instances.items() if id_ in self.wanted}

    def set(self, id_: str, state: model.InstanceState, **values: Any) -> None:
        with self.lock:
            known = self.instances.get(id_)
            fields = {"address": "", "port": None} | (
                {"address": known.address, "port": known.port} if known else {}
            )
            self.instances[id_] = model.InstanceStatus(
                id=id_, state=state, since=time.time(), **(fields | values)
            )

    def end(self, job: str, state: model.JobState, exit: model.ExitInfo | None = None, **values: Any) -> None:
        with self.lock:
            self.jobs[job] = model.JobStatus(id=job, state=state, since=time.time(), exit=exit, **values)

    def inspection(self, id_: str) -> model.Inspection:
        with self.lock:
            one = self.instances[id_]
            return model.Inspection(
                id=id_,
                owner="",
                name="",
                kind="instance",
                state=one.state.value,
                since=one.since,
                runs=self.runs.get(id_, ()),
            )

    def report(self, sequence: int | None = None) -> model.HostReport:
        with self.lock:
            return model.HostReport(
                host=str(self.host.id),
                sequence=sequence or int(time.time() * 1e6),
                generation=self.generation,
                capacity=model.Capacity(memory_bytes=16 * GIB, cpus=4),
                instances=tuple(self.instances.values()),
                jobs=tuple(self.jobs.values()),
                offer=self.offer,
            )

    def tell(self, report: model.HostReport | None = None) -> None:
        """Send a report as the real agent does, and take the wanted state that may come back."""
        said = report or self.report()
        answer = post(f"/internal/hosts/{self.host.id}/report", model.encode(said))
        assert answer.status_code == 200, answer.content
        reply = model.decode(answer.content, model.ReportReply)
        if reply.wanted is not None:
            self.take(reply.wanted)


@dataclass
class Edge:
    """One router. It has drained an instance as soon as it is told to, unless `busy`."""

    router: Router
    table: routing.RouteTable | None = None
    busy: bool = False
    received: list[int] = field(default_factory=list)
    sequence: int = 0
    applies: bool = True

    def take(self, table: routing.RouteTable) -> None:
        self.received.append(table.version)
        if self.applies and (self.table is None or table.version >= self.table.version):
            routing.check_table(table)
            self.table = table

    def route(self, name: str) -> routing.AppRoute:
        assert self.table is not None
        return next(app for app in self.table.apps if app.name == name)

    def report(self) -> routing.RouterReport:
        self.sequence += 1
        backends = [one for app in (self.table.apps if self.table else ()) for one in app.backends]
        return routing.RouterReport(
            router=str(self.router.id),
            sequence=self.sequence,
            version=self.table.version if self.table else 0,
            backends=tuple(
                routing.BackendState(
                    id=one.id,
                    active_sessions=int(self.busy),
                    drained=one.draining and not self.busy,
                    up=not one.draining,
                )
                for one in backends
            ),
        )

    def tell(self) -> None:
        answer = post(f"/internal/routers/{self.router.id}/report", routing.encode(self.report()))
        assert answer.status_code == 200, answer.content
        reply = routing.decode(answer.content, routing.RouterReply)
        if reply.table is not None:
            self.take(reply.table)


@cache
def _client() -> Client:
    return Client()  # one: each reads the static files anew


def identity_for(path: str) -> str:
    """Return who may call an internal path: the machine it names, else any host."""
    _, _, kind, name, *_ = path.split("/")
    if kind == "routers":
        return router_identity(str(Router.objects.filter(_named(name)).values_list("id", flat=True).first()))
    named = Host.objects.filter(_named(name)) if kind == "hosts" else Host.objects.order_by("created_at")
    return host_identity(str(named.values_list("id", flat=True).first()))


def _named(name: str) -> Q:
    identity = as_uuid(name)
    return Q(id=identity) if identity else Q(name=name)


def post(path: str, body: bytes, identity: str | None = None, *, method: str = "POST", **headers: str) -> Any:
    """Call an internal endpoint as a machine: the one it is about, unless told otherwise."""
    sent = {"X-Test-Machine": identity_for(path) if identity is None else identity} | {
        key.replace("_", "-"): text for key, text in headers.items()
    }
    # A stream that just ends, as a server gives it: Django's own pretends that reading on is a mistake.
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(body)}
    return _client().generic(method, path, body, content_type="application/json", headers=sent, **environ)


def serve_agent(agent: Agent) -> Served:
    """Speak the agent's API (`runtime.client`) for `agent`."""

    class Handler(_Handler):
        def do_PUT(self) -> None:
            body = self.body()
            if self.refused(agent.refuses):
                return
            if self.path == "/v1/wanted":
                agent.take(model.decode(body, model.WantedState))
                self.answer(model.encode(agent.report()))
                return
            spec = model.decode(body, model.JobSpec)
            with agent.lock:
                agent.specs.setdefault(spec.container.id, spec)
                if spec.container.id not in agent.jobs:
                    agent.end(spec.container.id, model.JobState.RUNNING)
                    if agent.job_ends is not None:
                        agent.jobs[spec.container.id] = agent.job_ends(spec.container.id)
                        connection.close()  # what happens meanwhile may have looked into the database
            self.answer(model.encode(agent.jobs[spec.container.id]))

        def do_GET(self) -> None:
            if self.refused(agent.refuses):
                return
            job = self.path.split("?")[0].split("/")[3]
            if self.path.startswith("/v1/containers/") and "?" not in self.path:
                self.answer(model.encode(agent.inspection(job)))
            elif self.path.startswith("/v1/containers/"):
                cursor = int(self.path.partition("cursor=")[2].split("&")[0])
                self.answer(_lines(agent.output.get(job, []), cursor))
            elif job in agent.jobs:
                self.answer(model.encode(self._ended(job)))
            else:
                self.fail(404, "not_found", "There is no such job.")

        def _ended(self, job: str) -> model.JobStatus:
            deadline = time.monotonic() + 1
            while (
                agent.jobs[job].state not in (model.JobState.SUCCEEDED, model.JobState.FAILED)
                and time.monotonic() < deadline
            ):
                time.sleep(0.02)
            return agent.jobs[job]

        def do_DELETE(self) -> None:
            if self.refused(agent.refuses):
                return
            if self.path.startswith("/v1/caches/"):
                agent.dropped.append(self.path.removeprefix("/v1/caches/"))
                self.answer(model.encode(model.Pruned()))
                return
            job = self.path.split("/")[3]
            agent.cancelled.append(job)
            if job not in agent.jobs:
                self.fail(404, "not_found", "There is no such job.")
                return
            if agent.jobs[job].state is model.JobState.RUNNING:
                agent.end(job, model.JobState.FAILED, model.ExitInfo(reason=model.ExitReason.CANCELLED))
            self.answer(model.encode(agent.jobs[job]))

    return Served(Handler, host_identity(str(agent.host.id)))


def _lines(texts: list[str], after: int) -> bytes:
    lines = (
        model.LogLine(cursor=cursor, at=time.time(), stream=model.Stream.STDOUT, text=text)
        for cursor, text in enumerate(texts, start=1)
        if cursor > after
    )
    return b"".join(model.encode(line) + b"\n" for line in lines)


def serve_router(edge: Edge) -> Served:
    """Speak the router's control API (`paas.router.client`) for `edge`."""

    class Handler(_Handler):
        def do_PUT(self) -> None:
            edge.take(routing.decode(self.body(), routing.RouteTable))
            self.answer(routing.encode(edge.report()))

    return Served(Handler, router_identity(str(edge.router.id)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def refused(self, why: str) -> bool:
        if identity_of(self.connection.getpeercert()) != CONTROLLER:
            self.fail(403, "not_the_controller", "Only the controller gives orders.")
        elif why:
            self.fail(422, "refused", why)
        else:
            return False
        return True

    def answer(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status: int, id_: str, message: str) -> None:
        self.answer(model.encode(model.ErrorBody(id=id_, message=message)), status)


def certified(identity: str) -> Credentials:
    """Return files of a machine of the tests' platform."""
    name = identity.removeprefix("paas://").replace("/", "-")
    files = settings.PAAS.credentials(name)
    authority.ensure_machine(files.authority.parent, files.machine, identity, authority.now())
    return files


class Served:
    """A server in a thread, with the certificate of `identity`, until `close`."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], identity: str) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        context = server_context(certified(identity))
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class Worker:
    """Runs what is in the queue, in this process and one after the other; `names` is what has been asked for."""

    QUEUE = "schedule"

    def __init__(self) -> None:
        from paas.celery import app

        app.loader.import_default_modules()
        self._tasks = app.tasks
        self.ran: list[tuple[str, tuple[str, ...]]] = []

    def waiting(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the messages in the queue, oldest first."""
        return [self._read(raw) for raw in reversed(redis_client().lrange(self.QUEUE, 0, -1))]

    def lose(self) -> None:
        """Lose every message, as a Redis that restarts without its data does."""
        redis_client().delete(self.QUEUE)

    def drain(self, *, without: tuple[str, ...] = (), limit: int = 200) -> int:
        """Run messages until none is left. Those of the tasks `without` are dropped. Returns how many ran."""
        for count in range(limit):
            raw = redis_client().rpop(self.QUEUE)
            if raw is None:
                return count
            name, arguments = self._read(raw)
            self.ran.append((name, arguments))
            if name not in without:
                self._tasks[f"paas.controller.tasks.{name}"](*arguments)
        raise AssertionError(f"the tasks never end: {self.ran[-10:]}")

    @staticmethod
    def _read(raw: str) -> tuple[str, tuple[str, ...]]:
        message = json.loads(raw)
        arguments = json.loads(base64.b64decode(message["body"]))[0]
        return message["headers"]["task"].removeprefix("paas.controller.tasks."), tuple(arguments)


@dataclass
class Platform:
    """The controller with one host, one router and one worker that all do what they are told."""

    agent: Agent
    edge: Edge
    worker: Worker

    def settle(self, rounds: int = 12) -> None:
        """Let everybody work until nothing is left to do."""
        for _ in range(rounds):
            ran = self.worker.drain(without=("builds.run_build",))
            before = self._state()
            self.agent.obey()
            self.agent.tell()
            self.edge.tell()
            if not ran and before == self._state() and not self.worker.waiting():
                return
        raise AssertionError(f"the platform never settles: {self.worker.ran[-10:]}")

    def _state(self) -> tuple[object, ...]:
        return (dict(self.agent.instances), self.agent.generation, self.edge.table)
