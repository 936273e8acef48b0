"""Changes under load and deaths: no request fails, nothing is forgotten, through a real HAProxy."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from paas.router.client import RouterUnavailable
from paas.router.table import encode

pytestmark = pytest.mark.integration


@dataclass
class Load:
    """Clients that send request after request: half keep their connection, half do not; every third request posts."""

    port: int
    host: str
    served: int = 0
    failures: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def client(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        count = 0
        while not self.ending.is_set():
            count += 1
            try:
                self._once(connection, post=count % 3 == 0)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{time.time():.3f} client {number}: {error!r}")
                connection.close()
            if number % 2:
                connection.close()
        connection.close()

    def _once(self, connection: http.client.HTTPConnection, *, post: bool) -> None:
        method, body = ("POST", b"x" * 3000) if post else ("GET", None)
        connection.request(method, "/slow?0.01", body=body, headers={"Host": self.host})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            self.failures.append(f"{time.time():.3f} {method} {response.status} {text[-300:]!r}")
        self.served += 1


@contextlib.contextmanager
def load(port: int, host: str, clients: int = 8) -> Iterator[Load]:
    """Load a host for as long as the block runs."""
    one = Load(port, host)
    threads = [threading.Thread(target=one.client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield one
    finally:
        one.ending.set()
        for thread in threads:
            thread.join(15)


def test_twenty_replacements_under_load(fresh, wait):
    fresh.start()
    bystander = fresh.app("bystander", fresh.instance())
    current = [fresh.instance(), fresh.instance()]
    fresh.route(bystander, fresh.app("one", *current))
    with fresh.websocket("bystander.localhost") as open_socket, load(fresh.port, "one.localhost") as clients:
        for _ in range(20):
            new = [fresh.instance(), fresh.instance()]
            report = fresh.route(bystander, fresh.app("one", *current, *new))
            assert all(state.up for state in report.backends)
            old = [fresh.backend(one, draining=True) for one in current]
            fresh.route(bystander, fresh.app("one", *new, *old))
            ids = {one.id for one in old}
            wait(
                lambda ids=ids: all(s.drained for s in fresh.client.report().backends if s.id in ids),
                5,
                "drained",
            )
            for one in current:
                one.kill()
            fresh.route(bystander, fresh.app("one", *new))
            current = new
        open_socket.sendall(b"still here")
        assert open_socket.recv(100) == b"still here"
        wait(lambda: clients.served > 200, 20, "served")
    assert clients.failures == []
    assert fresh.processes()["old"] == []
    assert all(one.requests for one in fresh.instances)


def test_reload_under_load_with_idle_connections_and_replaced_instances(fresh, wait):
    """The pool grows past 64 apps; connections that the old process holds reach instances it has never heard of."""
    fresh.start()
    first, second = fresh.instance(), fresh.instance()
    fresh.route(fresh.app("one", first))
    idle = http.client.HTTPConnection("127.0.0.1", fresh.port, timeout=10)
    idle.request("GET", "/", headers={"Host": "one.localhost"})
    idle.getresponse().read()
    with fresh.websocket("one.localhost") as open_socket, load(fresh.port, "one.localhost") as clients:
        many = [
            fresh.app(
                f"app{n}",
                fresh.backend(first).__class__(
                    id=f"other-{n}", name="web.1", address="127.0.0.1", port=first.port
                ),
            )
            for n in range(70)
        ]
        before = fresh.processes()["worker"]
        fresh.route(fresh.app("one", first), *many)
        assert fresh.processes()["worker"] != before
        assert fresh.get("app69.localhost").json["instance"] == first.name
        draining = fresh.backend(first, draining=True)
        report = fresh.route(fresh.app("one", second, draining), *many)
        state = next(one for one in report.backends if one.id == first.name)
        assert (state.drained, state.active_sessions >= 1) == (
            False,
            True,
        )  # the websocket, in the old process
        idle.request("GET", "/", headers={"Host": "one.localhost"})
        assert idle.getresponse().read().find(second.name.encode()) > 0
        idle.close()
        open_socket.sendall(b"still here")
        assert open_socket.recv(100) == b"still here"
        wait(lambda: clients.served > 50, 20, "served")
    wait(
        lambda: next(one for one in fresh.client.report().backends if one.id == first.name).drained,
        5,
        "drained",
    )
    assert clients.failures == []


def test_a_slow_request_ends_on_its_draining_instance(fresh, wait):
    fresh.start()
    old, new = fresh.instance(), fresh.instance()
    fresh.route(fresh.app("one", old))
    replies = []
    slow = threading.Thread(target=lambda: replies.append(fresh.get("one.localhost", "/slow?1.2")))
    slow.start()
    wait(lambda: old.requests == 1)
    fresh.route(fresh.app("one", new, fresh.backend(old, draining=True)))
    wait(lambda: fresh.client.report().backends[1].active_sessions == 1, 3)
    assert not fresh.client.report().backends[1].drained
    assert fresh.get("one.localhost").json["instance"] == new.name
    wait(lambda: fresh.client.report().backends[1].drained, 5)
    slow.join(5)
    assert replies[0].status == 200
    assert replies[0].json["instance"] == old.name
    reports = fresh.controller.reports
    wait(
        lambda: any(state["drained"] for one in reports for state in one["backends"]),
        1,
        "a report of it, at once",
    )


def test_a_drained_backend_can_come_back(fresh, wait):
    fresh.start()
    one, two = fresh.instance(), fresh.instance()
    fresh.route(fresh.app("one", one, two))
    fresh.route(fresh.app("one", two, fresh.backend(one, draining=True)))
    wait(lambda: fresh.client.report().backends[1].drained)
    assert all(state.up for state in fresh.route(fresh.app("one", one, two)).backends)
    seen = {fresh.get("one.localhost").json["instance"] for _ in range(10)}
    assert seen == {one.name, two.name}


def test_control_process_killed_under_load(fresh, wait):
    fresh.start()
    one, two = fresh.instance(), fresh.instance()
    fresh.route(fresh.app("one", one))
    before = fresh.processes()
    with load(fresh.port, "one.localhost", 4) as clients:
        fresh.kill()
        assert fresh.get("one.localhost").status == 200
        served = clients.served
        wait(lambda: clients.served > served + 20)
        with pytest.raises(RouterUnavailable):
            fresh.client.report()
        fresh.start()
        assert fresh.processes() == before  # the same processes: adopted, neither restarted nor reloaded
        wait(lambda: fresh.client.report().version == fresh.version)
        fresh.route(fresh.app("one", two, fresh.backend(one, draining=True)))
        wait(lambda: fresh.client.report().backends[1].drained)
        assert fresh.get("one.localhost").json["instance"] == two.name
    assert clients.failures == []
    rid = fresh.get("one.localhost").sent("x-request-id")[0]
    assert fresh.line(rid)["app"] == "id-one"  # the log ring has found its receiver again


def test_sigterm_leaves_haproxy_serving(fresh):
    fresh.start()
    fresh.route(fresh.app("one", fresh.instance()))
    assert fresh.process is not None
    fresh.process.terminate()
    assert fresh.process.wait(5) == 0
    assert fresh.get("one.localhost").status == 200
    fresh.start()
    assert fresh.get("one.localhost").status == 200
    assert "Traceback" not in fresh.output()


@pytest.mark.alone
@pytest.mark.parametrize("victim", ["master", "worker"])
def test_haproxy_killed(fresh, wait, victim):
    fresh.start()
    fresh.route(fresh.app("one", fresh.instance()))
    killed = fresh.processes()[victim][0]
    os.kill(killed, signal.SIGKILL)
    started = time.monotonic()

    def answers() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return fresh.get("one.localhost").status == 200 and fresh.processes()[victim] != [killed]
        return False

    wait(answers, 5)
    assert time.monotonic() - started < 1.5
    wait(lambda: fresh.client.report().haproxy_up and fresh.client.report().version == fresh.version)
    assert fresh.route(fresh.app("one", fresh.instance())).version == fresh.version


def test_everything_killed_serves_the_last_table(fresh, wait):
    fresh.start()
    fresh.route(fresh.app("one", fresh.instance(), maintenance=True), fresh.app("two", fresh.instance()))
    pids = fresh.processes()
    fresh.kill()
    os.kill(pids["master"][0], signal.SIGKILL)
    fresh.controller.down = True
    wait(lambda: not _listens(fresh.port), 5)
    fresh.start()
    assert fresh.get("two.localhost").status == 200
    assert fresh.get("one.localhost").status == 503
    assert fresh.client.report().version == fresh.version


def test_a_lost_table_does_not_empty_a_serving_haproxy(fresh, wait):
    fresh.start()
    instance = fresh.instance()
    fresh.route(fresh.app("one", instance))
    fresh.kill()
    (fresh.home / "router" / "table.json").write_text('{"version": 1, "written_by": "another release"}')
    fresh.start()
    assert fresh.get("one.localhost").status == 200
    assert fresh.client.report().version == 0
    fresh.route(fresh.app("two", instance))
    assert fresh.get("two.localhost").status == 200
    assert fresh.get("one.localhost").status == 404


def test_stop_ends_both_processes(fresh, wait):
    fresh.start()
    instance = fresh.instance()
    fresh.route(fresh.app("one", instance))
    replies = []
    slow = threading.Thread(target=lambda: replies.append(fresh.get("one.localhost", "/slow?0.8")))
    slow.start()
    wait(lambda: instance.requests == 1)
    assert not fresh.client.stop().haproxy_up
    slow.join(5)
    assert replies[0].status == 200  # it was given time
    assert fresh.process is not None
    assert fresh.process.wait(5) == 0
    assert not _listens(fresh.port)


def test_table_from_a_report_reply_and_lines_kept_while_the_controller_is_away(fresh, wait):
    fresh.controller.table = encode(fresh.table(fresh.app("one", fresh.instance())))
    fresh.start()
    wait(lambda: fresh.client.report().version == 1)
    wait(lambda: any(one["version"] == 1 and one["backends"][0]["up"] for one in fresh.controller.reports))
    fresh.controller.down = True
    rid = fresh.get("one.localhost").sent("x-request-id")[0]
    wait(lambda: "access" in fresh.controller.refused)
    assert not fresh.controller.lines
    fresh.controller.down = False
    assert fresh.line(rid)["status"] == 200
    assert fresh.controller.lost == 0


def test_a_taken_port_is_said_in_words(fresh, wait):
    with socket.create_server(("127.0.0.1", fresh.port)):
        fresh.launch()
        wait(lambda: f"127.0.0.1:{fresh.port} is in use by another program" in fresh.output(), 10)
        with pytest.raises(RouterUnavailable, match="is in use by another program"):
            fresh.route()
    wait(fresh.answers, 10)


def test_a_changed_setting_is_a_reload_and_a_failing_one_costs_nothing(fresh, wait):
    fresh.start()
    fresh.route(fresh.app("one", fresh.instance()))
    before = fresh.processes()
    with load(fresh.port, "one.localhost", 4) as clients, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fresh.kill()
        fresh.more_environ = {"PAAS_ROUTER_BIND": f"127.0.0.1:{fresh.port},127.0.0.1:{port}"}
        fresh.start()
        wait(lambda: f"127.0.0.1:{port} is in use by another program" in fresh.output(), 10)
        assert fresh.get("one.localhost").status == 200
        assert fresh.processes()["worker"] == before["worker"]
        taken.close()
        wait(lambda: fresh.client.report().version == fresh.version, 10)
        assert fresh.processes()["master"] == before["master"]
        fresh.port = port
        assert fresh.get("one.localhost").status == 200
    assert clients.failures == []
    assert clients.served > 20


def test_a_silent_haproxy_is_not_replaced(fresh, wait):
    fresh.start()
    fresh.route(fresh.app("one", fresh.instance()))
    before = fresh.processes()
    os.kill(before["master"][0], signal.SIGSTOP)
    try:
        fresh.kill()
        fresh.launch()
        with contextlib.suppress(RouterUnavailable):
            wait(lambda: fresh.client.report(), 1)
        assert fresh.get("one.localhost").status == 200
    finally:
        os.kill(before["master"][0], signal.SIGCONT)
    wait(fresh.answers, 10)
    assert fresh.processes() == before


def test_platform_host_reaches_the_web_process(fresh):
    web = fresh.instance("platform")
    fresh.more_environ = {
        "PAAS_ROUTER_PLATFORM_HOST": "paas.localhost",
        "PAAS_ROUTER_PLATFORM_BACKEND": f"127.0.0.1:{web.port}",
    }
    fresh.start()
    assert fresh.get("paas.localhost").json["instance"] == web.name
    web.kill()
    reply = fresh.get("paas.localhost")
    assert reply.status == 503
    assert "platform is not answering" in reply.text


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
