"""Fixtures: a router process with a real HAProxy, real instances and a controller. Nothing is left running."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from paas.router.client import RouterClient, RouterUnavailable
from paas.router.table import AppRoute, Backend, RouteTable
from tests.ports import free_port

TOKEN, CONTROLLER_TOKEN = "router-token-0123456789", "controller-token-0123456789"


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


real = _beside("instances")


def wait_for(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out: {what or condition}"
        time.sleep(0.01)
    return value


class Reply:
    """An answer, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        self.text = self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def sent(self, name: str) -> list[str]:
        """Values of a header as the instance saw it."""
        return [value for key, value in self.json["headers"] if key.lower() == name.lower()]


class World:
    """One router and everything around it."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
        self.loop = real.Loop()
        self.controller = real.Controller(self.loop)
        self.instances: list[Any] = []
        self.port, self.control = free_port(), free_port()
        self.client = RouterClient(f"http://127.0.0.1:{self.control}", TOKEN)
        self.process: subprocess.Popen[bytes] | None = None
        self.version = 0
        self.more_environ: dict[str, str] = {}

    # the router process

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.launch()
        wait_for(self.answers, 30, f"router start: {self.output()}")

    def launch(self) -> None:
        for name, token in (("token", TOKEN), ("controller-token", CONTROLLER_TOKEN)):
            (self.home / name).write_text(token)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PAAS_ROUTER_")},
            "PAAS_ROUTER_HOME": str(self.home / "router"),
            "PAAS_ROUTER_BIND": f"127.0.0.1:{self.port}",
            "PAAS_ROUTER_LISTEN": f"127.0.0.1:{self.control}",
            "PAAS_ROUTER_ID": "edge-1",
            "PAAS_ROUTER_TOKEN_FILE": str(self.home / "token"),
            "PAAS_ROUTER_CONTROLLER": self.controller.url,
            "PAAS_ROUTER_CONTROLLER_TOKEN_FILE": str(self.home / "controller-token"),
            **self.more_environ,
        }
        with (self.home / "output").open("ab") as output:
            self.process = subprocess.Popen([sys.executable, "-m", "paas.router"], env=environ, stderr=output)

    def answers(self) -> bool:
        try:
            return self.client.report().haproxy_up
        except RouterUnavailable:
            return False

    def output(self) -> str:
        return (self.home / "output").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def processes(self) -> dict[str, list[int]]:
        """HAProxy's processes as its master lists them: master, worker, old."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.home / "router" / "master.sock"))
            line.sendall(b"show proc\n")
            line.shutdown(socket.SHUT_WR)
            text = b"".join(iter(lambda: line.recv(65536), b"")).decode()
        found: dict[str, list[int]] = {"master": [], "worker": [], "old": []}
        kind = "worker"
        for words in (line.split() for line in text.splitlines()):
            if words[:2] == ["#", "old"]:
                kind = "old"
            elif len(words) > 1 and words[1] == "master":
                found["master"].append(int(words[0]))
            elif len(words) > 1 and words[1] == "worker":
                found[kind].append(int(words[0]))
        return found

    def close(self) -> None:
        try:
            pids = [pid for group in self.processes().values() for pid in group]
        except OSError:
            pids = []
        try:
            if self.process is not None and self.process.poll() is None:
                self.client.stop()
                self.process.wait(10)
        finally:
            for pid in pids:
                if f"{self.home}" in _cwd(pid):
                    os.kill(pid, signal.SIGKILL)
            if self.process is not None and self.process.poll() is None:
                self.kill()
            self.client.close()
            for instance in self.instances:
                instance.kill()
            self.controller.close()
            self.loop.close()
            shutil.rmtree(self.home, ignore_errors=True)

    # tables and instances

    def instance(self, name: str = "web.1") -> Any:
        self.instances.append(real.Instance(self.loop, f"{name}-{len(self.instances)}"))
        return self.instances[-1]

    def backend(self, instance: Any, *, name: str = "web.1", draining: bool = False) -> Backend:
        return Backend(
            id=instance.name, name=name, address="127.0.0.1", port=instance.port, draining=draining
        )

    def app(self, name: str, *instances: Any, **more: Any) -> AppRoute:
        backends = tuple(one if isinstance(one, Backend) else self.backend(one) for one in instances)
        return AppRoute(app=f"id-{name}", name=name, hosts=(f"{name}.localhost",), backends=backends, **more)

    def table(self, *apps: AppRoute) -> RouteTable:
        self.version += 1
        return RouteTable(version=self.version, apps=apps)

    def route(self, *apps: AppRoute) -> Any:
        return self.client.put_table(self.table(*apps))

    # requests

    def get(
        self, host: str, path: str = "/", method: str = "GET", headers: Any = None, timeout: float = 10
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host)
            for name, value in headers or []:
                connection.putheader(name, value)
            connection.endheaders()
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def line(self, request_id: str) -> dict[str, Any]:
        """The access line of a request, once it has reached the controller."""
        return wait_for(
            lambda: next((one for one in self.controller.lines if one["request_id"] == request_id), None),
            5,
            f"access line of {request_id}",
        )

    def websocket(self, host: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b" 101 " in connection.recv(4096)
        return connection


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A running router shared by the tests of one file."""
    one = World()
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture
def fresh() -> Iterator[World]:
    """A router of the test's own, not started yet."""
    one = World()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    return wait_for
