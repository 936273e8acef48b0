"""Who may talk to whom: same app, other app, build, host, outside, blocked addresses."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from runtime.container.port import EngineError
from runtime.model import NetworkMode
from tests.system.runtime.conftest import BLOCKED, Host

pytestmark = pytest.mark.system

OUTSIDE = "198.18.77.2"  # of the range reserved for benchmarks (RFC 2544); BLOCKED is another address there
SERVER = (
    "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
)
CONNECT = """
import socket, sys
for where in sys.argv[1:]:
    address, _, port = where.rpartition(':')
    try:
        socket.create_connection((address, int(port)), 2).close(); print('open')
    except TimeoutError: print('silent')
    except OSError as error: print('refused')
"""


def connect(host: Host, *where: str, **changes: object) -> list[str]:
    ended, output = host.run("/usr/bin/python3", "-c", CONNECT, *where, **changes)
    assert ended.code == 0, output
    return output.split()


@pytest.fixture(scope="module")
def server(host: Host) -> Iterator[str]:
    """The address of a container of app-1 that listens on port 8000."""
    container = host.start("/usr/bin/python3", "-c", SERVER)
    address = next(seen.address for seen in host.engine.list() if seen.id == container)
    _wait_until_open(address, 8000)
    yield address
    host.engine.delete(container)


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    """A port on which this host listens on all its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    """Another machine, beyond this host: two addresses with a listener on port 9000."""
    name = f"t{secrets.token_hex(3)}"
    commands = (
        f"netns add {name}",
        f"link add {name}h type veth peer name eth0 netns {name}",
        f"addr add 198.18.77.1/24 dev {name}h",
        f"link set {name}h up",
        f"-n {name} addr add {OUTSIDE}/24 dev eth0",
        f"-n {name} addr add {BLOCKED}/24 dev eth0",
        f"-n {name} link set eth0 up",
    )
    script = (
        "import socket\ns=socket.create_server(('',9000))\nprint('up',flush=True)\n"
        "while 1:\n c,a=s.accept(); c.sendall(a[0].encode()); c.close()"
    )
    process = None
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        run = ["nsenter", f"--net=/run/netns/{name}", "/usr/bin/python3", "-c", script]
        process = subprocess.Popen(run, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield f"{OUTSIDE}:9000"
    finally:
        if process is not None:
            process.kill()
            process.communicate()
        subprocess.run(["ip", "link", "del", f"{name}h"], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


def test_the_host_reaches_a_container(server: str) -> None:
    with socket.create_connection((server, 8000), 5) as connection:
        connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")


@pytest.mark.alone
def test_what_is_sent_to_a_container_that_is_gone_stays_here(host: Host) -> None:
    """Its address has no route any more: requests must not leave by the default route, to whoever has it there."""
    container = host.start("/usr/bin/python3", "-c", SERVER)
    address = next(seen.address for seen in host.engine.list() if seen.id == container)
    _wait_until_open(address, 8000)
    host.engine.delete(container)
    _wait_until_unrouted(address)
    began = time.monotonic()
    with pytest.raises(OSError, match="No route to host"):
        socket.create_connection((address, 8000), 5).close()
    assert time.monotonic() - began < 1, "told at once, so that the router tries another instance"


def test_same_app_talks_others_do_not(host: Host, server: str) -> None:
    assert connect(host, f"{server}:8000") == ["open"]
    assert connect(host, f"{server}:8000", owner="app-2") == ["refused"]
    assert connect(host, f"{server}:8000", network=NetworkMode.BUILD) == ["refused"]


def test_a_build_is_not_reached_by_its_app(host: Host) -> None:
    build = host.start("/usr/bin/python3", "-c", SERVER, network=NetworkMode.BUILD)
    try:
        address = next(seen.address for seen in host.engine.list() if seen.id == build)
        _wait_until_open(address, 8000)
        assert connect(host, f"{address}:8000") == ["refused"]
    finally:
        host.engine.delete(build)


def test_no_way_to_the_host(host: Host, listener: int, server: str) -> None:
    own = {"169.254.1.1", *_own_addresses()}
    for mode in (NetworkMode.APP, NetworkMode.BUILD):
        where = [f"{address}:{listener}" for address in sorted(own)]
        assert set(connect(host, *where, network=mode)) == {"refused"}
    socket.create_connection(("127.0.0.1", listener), 2).close()


def test_out_is_open_but_for_what_is_blocked(host: Host, outside: str) -> None:
    targets = (outside, f"{BLOCKED}:9000", "169.254.169.254:80")
    for mode in (NetworkMode.APP, NetworkMode.BUILD):
        assert connect(host, *targets, network=mode) == ["open", "refused", "refused"]


def test_out_is_masqueraded_and_nobody_outside_gets_in(host: Host, outside: str, server: str) -> None:
    read = f"import socket; print(socket.create_connection({tuple(outside.split(':'))}, 5).recv(99).decode())"
    assert host.python(read)[1] == "198.18.77.1\n"
    name = _namespace_of_outside()
    subprocess.run(["ip", "-n", name, "route", "add", f"{server}/32", "via", "198.18.77.1"], check=True)
    run = ["nsenter", f"--net=/run/netns/{name}", "/usr/bin/python3", "-c", CONNECT, f"{server}:8000"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "silent\n"


def test_names_resolve_to_the_container_itself(host: Host) -> None:
    script = (
        "import socket; print(socket.gethostbyname(socket.gethostname()), socket.gethostbyname('localhost'))"
    )
    own, localhost = host.python(script, hostname="web-1")[1].split()
    assert own.startswith("10.")
    assert localhost == "127.0.0.1"


def test_port_80_needs_no_privilege(host: Host) -> None:
    script = "import socket as s; s.create_server(('', 80)); s.create_server(('::1', 0), family=s.AF_INET6)"
    assert host.python(script)[0].code == 0


def test_a_requested_address_is_had_kept_from_others_and_free_again(host: Host) -> None:
    subnet = ipaddress.ip_network(host.config.subnet)
    used = {one.address for one in host.engine.list()}
    wanted = next(str(one) for one in reversed(list(subnet.hosts())) if str(one) not in used)
    first = host.start("/bin/sleep", "600", address=wanted, name="web.9")
    assert wanted in {one.address for one in host.engine.list() if one.id == first}
    with pytest.raises(EngineError, match=f"{wanted} is the address of web.9 of app-1 .container {first}."):
        host.start("/bin/true", address=wanted)
    with pytest.raises(EngineError, match="cannot be a container's address here"):
        host.start("/bin/true", address="192.0.2.1")
    host.engine.delete(first)
    again = host.start("/bin/sleep", "600", address=wanted)
    assert wanted in {one.address for one in host.engine.list() if one.id == again}
    host.engine.delete(again)


def test_two_platforms_do_not_reach_each_other(host: Host, open_host, server: str) -> None:
    other = open_host()
    assert connect(other, f"{server}:8000", owner="app-1") in (["refused"], ["silent"])


def test_many_at_once(host: Host) -> None:
    results: list[int | None] = []

    def run() -> None:
        results.append(host.shell("exit 5")[0].code)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [5] * 8


def _own_addresses() -> set[str]:
    words = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    return {word for word in words if "." in word}


def _wait_until_unrouted(address: str) -> None:
    """The kernel removes interface and route some time after the last user of a network namespace has gone."""
    deadline = time.monotonic() + 10
    while address in subprocess.run(("ip", "route"), capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < deadline, f"{address} is still routed"
        time.sleep(0.01)


def _namespace_of_outside() -> str:
    lines = subprocess.run(
        ["ip", "-br", "addr"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return next(line.split("@")[0][:-1] for line in lines if "198.18.77.1/24" in line)


def _wait_until_open(address: str, port: int, timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
