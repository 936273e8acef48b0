"""Egress rules in a real firewall: changed for what runs, counted where they refuse, and outliving the engine."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from runtime.model import Egress, NetworkMode, parse_egress_rule
from runtime.network import confinement, egress
from runtime.network.rules import names_of
from tests.system.runtime.conftest import Host
from tests.system.runtime.outside import Outside, machine_outside

pytestmark = pytest.mark.system

PROBE = """
import http.server, socket, urllib.parse
held = []
class Probe(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_GET(self):
        verb, *words = urllib.parse.unquote(self.path[1:]).split('/')
        try: text = getattr(self, verb)(*words)
        except TimeoutError: text = 'silent'
        except OSError as error: text = 'refused'
        self.send_response(200); self.end_headers(); self.wfile.write(text.encode())
    def tcp(self, address, port):
        socket.create_connection((address, int(port)), 3).close(); return 'open'
    def udp(self, address, port):
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            one.settimeout(3); one.connect((address, int(port))); one.send(b'x'); one.recv(9); return 'open'
    def hold(self, address, port):
        held.append(socket.create_connection((address, int(port)), 3)); return self.held()
    def held(self):
        held[-1].settimeout(3); held[-1].sendall(b'x'); return 'open' if held[-1].recv(1) else 'closed'
http.server.ThreadingHTTPServer(('', 8000), Probe).serve_forever()
"""


@dataclass
class Tenant:
    """A container that tries what it is asked to. Being asked at all shows that who comes in gets answers."""

    id: str
    address: str

    def ask(self, *words: object) -> str:
        url = f"http://{self.address}:8000/{'/'.join(map(str, words))}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.read().decode())


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with machine_outside() as machine:
        yield machine


@pytest.fixture(scope="module")
def tenant(host: Host) -> Iterator[Callable[..., Tenant]]:
    made: list[str] = []

    def start(**changes: object) -> Tenant:
        container = host.start("/usr/bin/python3", "-c", PROBE, **changes)
        made.append(container)
        found = Tenant(container, next(one.address for one in host.engine.list() if one.id == container))
        _eventually(lambda: found.ask("tcp", "127.0.0.1", 8000) == "open")
        return found

    yield start
    for container in made:
        host.engine.delete(container)


@pytest.fixture(scope="module")
def app(tenant: Callable[..., Tenant]) -> Tenant:
    return tenant()


@pytest.fixture(autouse=True)
def free(host: Host) -> Iterator[None]:
    yield
    host.engine.confine({}, {})


def allow(*texts: str) -> Egress:
    return Egress(rules=tuple(map(parse_egress_rule, texts)))


@pytest.mark.alone
def test_rules_change_for_what_runs(
    host: Host, outside: Outside, app: Tenant, tenant: Callable[..., Tenant]
) -> None:
    here = (outside.first, 9000)
    sibling, other = tenant(), tenant(owner="app-2")
    runs = {one.id: one.pid for one in host.engine.list()}
    assert app.ask("tcp", *here) == app.ask("udp", *here) == "open"
    host.engine.confine({"app-1": Egress()}, {})
    began = time.monotonic()
    assert app.ask("tcp", *here) == app.ask("udp", *here) == "refused"
    assert time.monotonic() - began < 2.5, "refused at once; silence takes 3 seconds"
    assert app.ask("tcp", sibling.address, 8000) == "open"
    assert other.ask("tcp", *here) == "open"
    host.engine.confine({"app-1": allow(f"{outside.first}:9000")}, {})
    assert app.ask("tcp", *here) == "open"
    assert app.ask("tcp", outside.first, 9001) == app.ask("udp", *here) == "refused"
    assert app.ask("tcp", outside.second, 9000) == "refused"
    host.engine.confine({"app-1": allow(f"{outside.network}:9001", f"{outside.first}:9000/udp")}, {})
    assert app.ask("tcp", outside.second, 9001) == app.ask("udp", *here) == "open"
    assert app.ask("tcp", *here) == "refused"
    host.engine.confine({}, {})
    assert app.ask("tcp", *here) == "open"
    assert {one.id: one.pid for one in host.engine.list()} == runs


def test_every_one_of_many_refused_connections_is_told_at_once(
    host: Host, outside: Outside, app: Tenant, tenant: Callable[..., Tenant]
) -> None:
    """The kernel holds back ICMP errors after six: TCP is refused by a reset, whoever it is that refuses."""
    stranger = tenant(owner="app-2")
    refused = [(outside.first, 9001), (stranger.address, 8000), ("169.254.169.254", 80), ("169.254.1.1", 22)]
    host.engine.confine({"app-1": allow(f"{outside.first}:9000")}, {})
    for target in refused:
        assert [app.ask("tcp", *target) for _ in range(12)] == ["refused"] * 12


def test_nothing_that_is_blocked_can_be_allowed(host: Host, app: Tenant) -> None:
    host.engine.confine({"app-1": allow("*")}, {})
    assert app.ask("tcp", "169.254.169.254", 80) == "refused"


def test_open_connections_are_judged_by_new_rules(host: Host, outside: Outside, app: Tenant) -> None:
    assert app.ask("hold", outside.first, 9000) == "open"
    host.engine.confine({"app-1": allow(f"{outside.first}:9000", "192.0.2.1")}, {})
    assert app.ask("held") == "open"
    host.engine.confine({"app-1": allow("192.0.2.1")}, {})
    assert app.ask("held") == "refused"


def test_a_container_that_starts_is_confined_from_its_first_packet(host: Host, outside: Outside) -> None:
    host.engine.confine({"app-3": Egress()}, {"app-3": allow(outside.first)})
    script = f"import socket; socket.create_connection(('{outside.first}', 9000), 3)"
    assert host.python(script, owner="app-3")[0].code == 1
    assert host.python(script, owner="app-3", network=NetworkMode.BUILD)[0].code == 0
    host.engine.confine({}, {"app-3": Egress()})
    assert host.python(script, owner="app-3")[0].code == 0
    assert host.python(script, owner="app-3", network=NetworkMode.BUILD)[0].code == 1


def test_addresses_of_allowed_names_are_let_through_for_a_while(
    host: Host, outside: Outside, app: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "TIMEOUTS", (2, 60))
    host.engine.confine({"app-1": allow("*.example.com:9000", "api.example.org")}, {})
    host.engine.answered(app.address, "api.example.com", (outside.first,), 60)
    assert app.ask("hold", outside.first, 9000) == "open"
    assert app.ask("tcp", outside.first, 9001) == app.ask("tcp", outside.second, 9000) == "refused"
    for _ in range(3):
        host.engine.answered(app.address, "api.example.org", (outside.second,), 1)
    assert app.ask("hold", outside.second, 9001) == app.ask("tcp", outside.second, 9000) == "open"
    _eventually(lambda: app.ask("tcp", outside.second, 9001) == "refused")
    assert app.ask("held") == "open", "a connection goes on when its name's answer has expired"
    host.engine.confine({"app-1": allow("api.example.com")}, {})
    assert app.ask("tcp", outside.first, 9001) == "open", "answers count under new rules for the same name"
    assert app.ask("held") == "refused"


def test_rules_and_answers_outlive_the_engine(host: Host, outside: Outside, app: Tenant) -> None:
    host.engine.confine({"app-1": allow("api.example.com:9000,9001")}, {})
    host.engine.answered(app.address, "api.example.com", (outside.first,), 300)
    assert app.ask("hold", outside.first, 9000) == "open"
    host.engine.close(remove=False)
    assert app.ask("tcp", outside.second, 9000) == "refused"
    host.engine.open()
    assert app.ask("held") == app.ask("tcp", outside.first, 9001) == "open"
    assert app.ask("tcp", outside.second, 9000) == "refused"


def test_old_rules_are_cleared_away_in_time(
    host: Host, outside: Outside, app: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "STALE_KEPT", 3)
    for port in range(9003, 9012):
        host.engine.confine({"app-1": allow(f"{outside.first}:9000,{port}")}, {})
        assert app.ask("tcp", outside.first, 9000) == "open"
        assert app.ask("tcp", outside.first, 9001) == "refused"
    table = names_of(host.config.tag).table
    listed = subprocess.run(
        ["nft", "list", "table", "inet", table], capture_output=True, text=True, check=True
    )
    assert re.findall(r"set (egress_\d+)", listed.stdout) == [
        max(re.findall(r"@(egress_\d+)", listed.stdout))
    ]
    assert "9003" not in listed.stdout
    assert "9011" in listed.stdout


def test_a_firewall_that_was_meddled_with_is_mended(host: Host, outside: Outside, app: Tenant) -> None:
    host.engine.confine({"app-1": Egress()}, {})
    table = names_of(host.config.tag).table
    subprocess.run(["nft", "flush", "set", "inet", table, "confined"], check=True)
    host.engine.confine({"app-1": allow(f"{outside.first}:9000")}, {})
    assert app.ask("tcp", outside.first, 9000) == "open"
    assert app.ask("tcp", outside.first, 9001) == "refused"


def test_what_is_refused_is_counted_and_named(host: Host, outside: Outside, app: Tenant) -> None:
    host.engine.confine({"app-1": Egress()}, {})
    for _ in range(3):
        app.ask("tcp", outside.first, 9001)
    app.ask("udp", outside.second, 9000)
    seen = [one for one in host.engine.refused() if one.source == app.address]
    found = {(one.target, one.protocol, one.port): one.packets for one in seen}
    assert found[outside.first, "tcp", 9001] >= 3
    assert found[outside.second, "udp", 9000] >= 1
    assert found["", "", 0] >= 4


def _eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
