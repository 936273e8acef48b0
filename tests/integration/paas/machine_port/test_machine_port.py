"""gunicorn with both ports, as the supervisor starts it: only the handshake says who somebody is."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paas import authority
from runtime import renewal, signing
from runtime.tls import CONTROLLER, Credentials, client_context, host_identity
from tests.ports import free_ports

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[4]
ONE = host_identity("one")


@dataclass
class Web:
    home: Path
    api: int
    machines: int
    log: Path

    @property
    def ca(self) -> Path:
        return self.home / "ca"

    def certified(self, identity: str, name: str = "", **late: float) -> Credentials:
        files = Credentials(self.home / "machines" / f"{name or 'agent'}.pem", self.ca / "ca.pem")
        authority.ensure_machine(self.ca, files.machine, identity, authority.now() + timedelta(**late))
        return files

    def ask(self, files: Credentials, **headers: str) -> Any:
        context = client_context(files, CONTROLLER)
        connection = http.client.HTTPSConnection("127.0.0.1", self.machines, context=context, timeout=10)
        try:
            connection.request("GET", "/", headers={name.replace("_", "-"): v for name, v in headers.items()})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home = tmp_path_factory.mktemp("web")
    api, machines = free_ports(2)
    one = Web(home, api, machines, home / "log")
    one.certified(CONTROLLER, "controller")
    environ = os.environ | {"PAAS_HOME": str(home), "PAAS_MACHINE_PORT": str(machines)}
    binds = ("--bind", f"127.0.0.1:{api}", "--bind", f"127.0.0.1:{machines}")
    command = (
        *(sys.executable, "-m", "gunicorn", "tests.integration.paas.machine_port.echo:application", *binds),
        *("--worker-class", "paas.machine_port.Worker", "--threads", "16", "--no-control-socket"),
    )
    with one.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log)
    try:
        _await(one, process)
        yield one
    finally:
        process.terminate()
        process.wait(10)
    assert "Traceback" not in one.log.read_text()


def _await(one: Web, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", one.machines), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(one.log.read_text())


def test_who_shows_a_certificate_is_its_identity_whatever_the_headers_say(web: Web) -> None:
    said = web.ask(
        web.certified(ONE), X_Machine=CONTROLLER, X_Test_Machine=CONTROLLER, Authorization="Bearer x"
    )
    assert said == {"machine": ONE, "urls": "paas.controller.internal.urls"}


def test_on_the_apis_port_nobody_is_a_machine(web: Web) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.api, timeout=10)
    connection.request("GET", "/", headers={"gunicorn.socket": "x", "X-Test-Machine": ONE})
    assert json.loads(connection.getresponse().read()) == {"machine": None, "urls": None}
    connection.close()


def test_a_stranger_gets_the_machines_paths_and_no_name(web: Web) -> None:
    context = ssl.create_default_context(cafile=web.ca / "ca.pem")
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", web.machines, context=context, timeout=10)
    connection.request("GET", "/")
    assert json.loads(connection.getresponse().read())["machine"] == ""
    connection.close()


def test_expired_and_foreign_certificates_end_the_connection(web: Web) -> None:
    foreign = Web(web.home / "foreign", web.api, web.machines, web.log)
    stranger = foreign.certified(ONE)
    for wrong in (
        web.certified(ONE, "expired", days=-8),
        web.certified(ONE, "early", days=1),
        Credentials(stranger.machine, web.ca / "ca.pem"),
    ):
        with pytest.raises((OSError, http.client.HTTPException)):
            web.ask(wrong)
    with pytest.raises(ssl.SSLCertVerificationError):
        web.ask(stranger)
    assert "no TLS with 127.0.0.1" in web.log.read_text()


def test_silent_and_senseless_connections_do_not_keep_others_out(web: Web) -> None:
    with ExitStack() as stack:
        for number in range(40):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", web.machines), 5))
            if number % 2:
                one.sendall(b"\x16\x03\x01" if number % 3 else b"GET / HTTP/1.1\r\n\r\n")
        deadline = time.monotonic() + 30
        while True:
            try:
                assert web.ask(web.certified(ONE))["machine"] == ONE
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_a_connection_that_is_kept_serves_many_requests(web: Web) -> None:
    context = client_context(web.certified(ONE), CONTROLLER)
    connection = http.client.HTTPSConnection("127.0.0.1", web.machines, context=context, timeout=10)
    for body in (b"", b"x" * 300_000, b"y"):
        connection.request("POST", "/", body)
        assert json.loads(connection.getresponse().read())["machine"] == ONE
        kept = connection.sock
    assert connection.sock is kept
    connection.close()


def test_the_next_certificate_of_the_controller_is_shown_without_a_restart(web: Web) -> None:
    mine = web.certified(ONE)
    kept = (web.home / "machines" / "controller.pem").read_bytes()
    try:
        web.certified(host_identity("two"), "controller")
        with pytest.raises(ssl.SSLCertVerificationError, match="paas://host/two, not paas://controller"):
            web.ask(mine)
    finally:
        signing.write_private(web.home / "machines" / "controller.pem", kept.decode())
    assert web.ask(mine)["machine"] == ONE


def test_a_certificate_counts_as_old_by_its_file(web: Web, tmp_path: Path) -> None:
    files = Credentials(tmp_path / "agent.pem", web.ca / "ca.pem")
    shutil.copy(web.certified(ONE).machine, files.machine)
    now = time.time()
    assert renewal.age(files, now + 5) < renewal.RENEW_AFTER
    assert renewal.age(files, now + renewal.RENEW_AFTER) >= renewal.RENEW_AFTER
    assert renewal.age(files, now - 86400) >= renewal.RENEW_AFTER
