"""Two hosts: one box, and a second machine that joins with the real command, serves, drains, dies, returns, leaves."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.tls import CONTROLLER, Credentials, client_context
from tests.e2e.joined_host import BEYOND, BEYOND_PORT, ROUTER_PORT, Machine, second_machine
from tests.e2e.load import Load
from tests.e2e.platform import PORTS, ROOT, Platform, commit, repository, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVER = """
import json, os, signal, socket, threading, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def own():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(('192.0.2.1', 9))
        return one.getsockname()[0]

def peers():
    found = socket.getaddrinfo('web.' + os.environ['APP'] + '.internal', 80, socket.AF_INET)
    return sorted({one[4][0] for one in found})

last = {}  # when an address was asked for that the names still had

def watch():
    for _ in range(900):
        asked = time.time()
        last.update((address, asked) for address in peers())
        time.sleep(0.05)

def ask(address):
    url = f"http://{address}:{os.environ['PORT']}/"
    return json.loads(urllib.request.urlopen(url, timeout=5).read())['address']

def way(host, port):
    try:
        socket.create_connection((host, port), 10).close()
        return 'open'
    except OSError as error:
        return 'gaierror' if isinstance(error, socket.gaierror) else 'OSError'

class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *words): pass
    def do_GET(self):
        said = {'dyno': os.environ['DYNO'], 'address': own()}
        if self.path.startswith('/way/'):
            host, port = self.path.split('/')[2:]
            said['way'] = way(host, int(port))
        if self.path == '/watch':
            if not last:
                threading.Thread(target=watch, daemon=True).start()
            said['last'] = dict(last)
        if self.path == '/peers':
            said['peers'] = [ask(address) for address in peers()]
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    def handle_error(self, *words): pass

server = Server(('0.0.0.0', int(os.environ['PORT'])), Handler)
def end(*_):
    print('asked to end at', time.time(), flush=True)
    threading.Thread(target=server.shutdown).start()

signal.signal(signal.SIGTERM, end)
print('listening as', os.environ['DYNO'], 'at', own(), flush=True)
server.serve_forever()
"""
FILES = {"Procfile": "web: python3 server.py\n", "server.py": SERVER}


@dataclass
class Two:
    """A platform of two hosts and an app on both."""

    platform: Platform
    far: Machine
    app: str = "wide"

    def paas(self, *words: str, code: int = 0, stdin: str = "") -> str:
        url = f"http://localhost:{self.platform.port('PAAS_API_PORT')}"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PAAS_")}
        environ |= {"HOME": str(self.platform.home / "nobody"), "PAAS_URL": url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            (sys.executable, "-m", "paas.cli.main", *words),
            env=environ | {"PAAS_TOKEN": self.platform.token},
            input=stdin,
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def host(self) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(self.paas("hosts:info", self.far.name, "--json"))
        return row

    def seen(self, path: str = "/", times: int = 24) -> list[dict[str, Any]]:
        """What the app says, through the router, several times."""
        answers = [self.platform.get(self.app, path) for _ in range(times)]
        return [one.json() for one in answers if one.status == 200]

    def is_far(self, address: str) -> bool:
        return ipaddress.ip_address(address) in ipaddress.ip_network(self.far.subnet)

    def sides(self) -> set[bool]:
        """On which sides requests are answered: True is the joined host."""
        return {self.is_far(one["address"]) for one in self.seen()}

    def instances(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.platform.api("GET", f"/apps/{self.app}/dynos").json()
        return [row for row in rows if row["type"] == "web"]

    def built_on(self, app: str) -> list[str]:
        """The hosts that built it, by the database: no door tells."""
        hosts = (
            "select h.name from controller_build b join controller_host h on h.id = b.host_id "
            "join controller_app a on a.id = b.app_id where a.name = ?"
        )
        with closing(sqlite3.connect(f"file:{self.platform.home}/paas.sqlite3?mode=ro", uri=True)) as rows:
            return [name for (name,) in rows.execute(hosts, (app,))]

    def spread(self) -> None:
        """Have four instances, on both hosts."""
        self.paas("scale", "web=1", "-a", self.app)
        until(lambda: len(self.instances()) == 1, 60, "one instance is left")
        self.paas("scale", "web=4", "-a", self.app)
        self.settled()
        until(lambda: self.sides() == {False, True}, 30, "both hosts answer")

    def settled(self) -> None:
        """Wait until four instances are up and those that left are forgotten: a host reports an end after it."""
        until(lambda: [row["state"] for row in self.instances()] == ["up"] * 4, 60, "four instances are up")

    def whole(self) -> None:
        """Have the second machine up and used, whatever an earlier test has left it like."""
        if self.far.process is None or self.far.process.poll() is not None:
            self.far.plug_in()
            self.far.start()
        until(lambda: self.host()["state"] != "lost", 30, "the second host reports")
        if self.host()["state"] == "cordoned":
            self.paas("hosts:uncordon", self.far.name)
        if [row["state"] for row in self.instances()] != ["up"] * 4 or self.sides() != {False, True}:
            self.spread()


@pytest.fixture
def two(both: Two) -> Two:
    """Two hosts and four instances on both of them, for each test anew."""
    both.whole()
    return both


@pytest.fixture(scope="module")
def both(free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with second_machine() as far:
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        platform = Platform.prepare(
            list(ports.values()),
            PAAS_MACHINE_BIND=far.near,
            PAAS_AGENT_UNDERLAY=far.near,
            PAAS_DRAIN_TIMEOUT="10",
        )
        try:
            platform.start()
            two = Two(platform, far)
            join(two)
            source = repository(tmp_path_factory.mktemp("wide") / "app", files=FILES)
            assert platform.api("POST", "/apps", {"name": two.app}).status == 201
            platform.api("PATCH", f"/apps/{two.app}/config-vars", {"APP": two.app})
            pushed = platform.git_push(source, two.app)
            assert pushed.code == 0, pushed.output
            yield two
        except BaseException:
            print(platform.logs(), far.log())
            raise
        finally:
            try:
                far.end()
            finally:
                platform.remove()


def join(two: Two) -> None:
    said = two.paas("hosts:token", "--ttl", "10m")
    command = next(line.strip() for line in said.splitlines() if "script/join" in line)
    two.far.join(command)
    until(lambda: two.host()["state"] == "up", 30, "the joined host reports")


def test_requests_reach_instances_on_both_hosts(two: Two) -> None:
    row = two.host()
    assert (row["state"], row["instances"] > 0, row["subnet"]) == ("up", True, two.far.subnet)
    assert row["address"] == two.far.address
    assert row["version"]
    listed = two.paas("hosts")
    assert two.far.name in listed
    assert two.far.address in listed


def test_names_lead_from_one_host_to_the_other_and_back(two: Two) -> None:
    def both_ways() -> bool:
        said = two.seen("/peers")
        crossing = {(two.is_far(one["address"]), two.is_far(peer)) for one in said for peer in one["peers"]}
        return crossing == {(False, False), (False, True), (True, False), (True, True)}

    until(both_ways, 30, "instances on each host reach those on the other by name")


def test_no_name_leads_to_an_instance_that_was_asked_to_end(two: Two) -> None:
    """Its host knows before the instance does; the other host is told at the same time, which nothing waits for."""
    known = {row["name"]: "" for row in two.instances()}

    def all_watch() -> bool:
        answers = two.seen("/watch")
        known.update((one["dyno"], one["address"]) for one in answers)
        return {one["dyno"] for one in answers if len(one["last"]) == 4} == set(known)

    until(all_watch, 30, "every instance looks for the others")
    two.paas("scale", "web=3", "-a", two.app)
    until(lambda: len(two.instances()) == 3, 60, "one has gone")
    (name,) = set(known) - {row["name"] for row in two.instances()}
    gone = known[name]

    def ended() -> list[float]:
        lines = two.paas("logs", "-n", "1000", "-a", two.app).splitlines()
        return [float(line.split()[-1]) for line in lines if f"app[{name}]: asked to end at" in line]

    until(ended, 20, "its log tells when")
    beside = [one for one in two.seen("/watch") if two.is_far(one["address"]) == two.is_far(gone)]
    assert beside
    assert max(one["last"][gone] for one in beside) < ended()[-1]
    until(lambda: (found := names(two)) and all(gone not in one for one in found), 20, "no name leads to it")
    two.paas("scale", "web=4", "-a", two.app)
    two.settled()


def names(two: Two) -> list[list[str]]:
    """What each instance that answers finds by the app's name."""
    return [one["peers"] for one in two.seen("/peers")]


def test_logs_and_exec_work_there(two: Two) -> None:
    there = next(one for one in two.seen() if two.is_far(one["address"]))
    line = f"app[{there['dyno']}]: listening as {there['dyno']} at {there['address']}"
    until(lambda: line in two.paas("logs", "-n", "1000", "-a", two.app), 20, "its lines are in the app's log")
    said = two.paas("ps:exec", "--no-tty", "-a", two.app, there["dyno"], "--", "echo in $DYNO")
    assert f"in {there['dyno']}" in said


def test_a_router_there_serves_while_every_instance_is_replaced(two: Two) -> None:
    before = {row["id"] for row in two.instances()}
    host = f"{two.app}.{two.platform.domain}"
    with Load(ROUTER_PORT, host, rate=50, address=two.far.address) as load:
        until(lambda: load.bodies, 30, "the router of the joined host answers")
        two.paas("ps:restart", "-a", two.app)
        until(lambda: not before & {row["id"] for row in two.instances()}, 90, "all are replaced")
        until(lambda: [row["state"] for row in two.instances()] == ["up"] * 4, 60, "four instances are up")
    assert not load.failures, load.summary()
    sides = {two.is_far(json.loads(body)["address"]) for body in load.bodies}
    assert sides == {False, True}, "it reaches instances on both hosts"


@pytest.fixture
def elsewhere(two: Two, tmp_path: Path) -> Iterator[str]:
    """An app that is built and runs on the joined host: nothing new is placed on the box."""
    (box,) = (row["name"] for row in two.platform.api("GET", "/hosts").json() if row["name"] != two.far.name)
    two.paas("hosts:cordon", box)
    try:
        app = two.platform.create_app()
        pushed = two.platform.git_push(repository(tmp_path / "there", files=FILES), app)
        assert pushed.code == 0, pushed.output
        yield app
        two.platform.api("DELETE", f"/apps/{app}")
    finally:
        two.paas("hosts:uncordon", box)


def test_an_app_is_built_there_and_its_way_out_has_a_name(two: Two, elsewhere: str) -> None:
    (dyno,) = two.platform.api("GET", f"/apps/{elsewhere}/dynos").json()
    assert dyno["host"] == two.far.name
    assert two.built_on(elsewhere) == [two.far.name]

    def way(host: str, port: int = BEYOND_PORT) -> str:
        return str(two.platform.get(elsewhere, f"/way/{host}/{port}").json()["way"])

    assert (way("shop.beyond.example"), way(two.far.beyond)) == ("open", "open")
    assert way("shop.beyond.example", BEYOND_PORT + 1) == "open"
    two.paas("egress:allow", f"*{BEYOND}:{BEYOND_PORT}", "-a", elsewhere)
    until(
        lambda: way(two.far.beyond) == "OSError", 30, "an address that no allowed name has led to is closed"
    )
    assert way("other.example") == "gaierror"
    assert way("shop.beyond.example") == "open"
    assert way(two.far.beyond) == "open", "as long as the answer holds"
    assert way("shop.beyond.example", BEYOND_PORT + 1) == "OSError"
    two.paas("egress:deny", "-a", elsewhere)
    until(lambda: way("shop.beyond.example") == "gaierror", 30, "with the rule the name is gone")
    assert way(two.far.beyond) == "OSError"

    def told() -> bool:
        lines = two.paas("logs", "-n", "1000", "--source", "heroku", "-a", elsewhere).splitlines()
        return any(f"{two.far.beyond}:{BEYOND_PORT}/tcp" in line for line in lines if "Egress rules" in line)

    until(told, 30, "its log tells what was refused")


def test_an_image_is_built_there(two: Two, elsewhere: str, tmp_path: Path) -> None:
    """The app of the joined host goes on as a Dockerfile: base, cache and the image itself are that host's."""
    dockerfile = (
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY page /www/index.html\n"
        'RUN ["/bin/busybox", "id", "-u"]\n'
        'CMD ["/bin/busybox", "sh", "-c", "exec /bin/busybox httpd -f -p $PORT -h /www"]\n'
    )
    source = repository(tmp_path / "image", files={"Dockerfile": dockerfile, "page": "made of an image\n"})
    shutil.copy("/bin/busybox", source)
    commit(source, "its program", {})
    pushed = two.platform.git_push(source, elsewhere, "+main")
    assert pushed.code == 0, pushed.output
    assert two.built_on(elsewhere) == [two.far.name] * 2
    assert two.platform.get(elsewhere).text == "made of an image\n"


def test_a_newer_agent_takes_over_and_leaves_the_containers_alone(two: Two) -> None:
    before, agents = two.far.containers(), two.far.pids("runtime agent")
    assert before
    old = two.far.process
    assert old is not None
    with Load(two.platform.port("PAAS_ROUTER_PORT"), f"{two.app}.{two.platform.domain}", rate=50) as load:
        two.far.start()
        assert old.wait(30) == 0
        until(lambda: two.host()["state"] == "up", 30, "it reports again")
    assert not load.failures, load.summary()
    assert two.far.containers() == before
    assert two.far.pids("runtime agent") != agents


def test_a_drain_fails_no_request(two: Two) -> None:
    with Load(two.platform.port("PAAS_ROUTER_PORT"), f"{two.app}.{two.platform.domain}", rate=100) as load:
        assert "it is empty" in two.paas("hosts:drain", two.far.name)
        until(lambda: two.sides() == {False}, 30, "only the box answers")
        until(lambda: not two.far.containers(), 30, "its containers are gone")
    assert not load.failures, load.summary()
    two.settled()
    assert two.host()["state"] == "cordoned"


def test_a_host_that_dies_is_replaced_and_returns_without_doubles(two: Two) -> None:
    assert two.far.containers()
    two.far.kill()
    until(lambda: two.host()["state"] == "lost", 60, "the host is given up")
    until(lambda: two.host()["instances"] == 0, 30, "what it ran is started elsewhere")
    two.settled()
    until(lambda: two.sides() == {False}, 30, "only the box answers")
    assert two.far.containers()  # nobody could tell it
    two.far.plug_in()
    two.far.start()
    until(lambda: two.host()["state"] == "up", 30, "it is back")
    until(lambda: not two.far.containers(), 30, "what it still ran is stopped")
    two.settled()


def test_a_removed_host_is_refused_at_once(two: Two) -> None:
    refused = two.paas("hosts:remove", two.far.name, code=1)
    assert "Drain it first" in refused
    assert "Say why" in two.paas("hosts:remove", two.far.name, "--force", code=1)
    two.paas("hosts:drain", two.far.name)
    until(lambda: not two.far.containers(), 30, "its containers are gone")
    assert "no host of this platform any more" in two.paas("hosts:remove", two.far.name)
    assert _renewal(two) == (403, "removed")
    assert two.far.name not in two.paas("hosts")


def _renewal(two: Two) -> tuple[int, str]:
    """Ask as the joined host for its next certificate."""
    files = Credentials(*(Path(two.far.home) / "machines" / name for name in ("agent.pem", "ca.pem")))
    connection = http.client.HTTPSConnection(
        two.far.near, two.platform.port("PAAS_MACHINE_PORT"), context=client_context(files, CONTROLLER)
    )
    try:
        connection.request("GET", "/internal/renew")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["id"]
    finally:
        connection.close()
