"""Throughput and round trip between containers on two simulated hosts, and between the same hosts without us.

In: nothing (root).  Out: a table on stdout: plain namespaces, routes and VXLAN, one after the other in each round.

    .venv/bin/python bench/two_hosts.py [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system" / "runtime_agent"))

from two_hosts import SimulatedHost, eventually, two_hosts

from runtime.container import storage

SECONDS = 2.0
TRIPS = 500
PORT = 9100
# Receives what the client sends until it says what it wants: "t" counts bytes, "r" sends each byte back.
SERVER = f"""
import socket, threading
def serve(one):
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kind, got = one.recv(1), 0
    while data := one.recv(1 << 20):
        got += len(data)
        if kind == b'r': one.sendall(data)
    if kind == b't': one.sendall(str(got).encode())
    one.close()
server = socket.create_server(('', {PORT}))
print('ready', flush=True)
while 1: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
CLIENT = f"""
import socket, statistics, sys, time
def connect(kind):
    one = socket.create_connection((sys.argv[1], {PORT}), 5)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(kind)
    return one
one, block = connect(b't'), b'x' * (1 << 18)
begun = time.perf_counter()
while time.perf_counter() - begun < {SECONDS}: one.sendall(block)
one.shutdown(socket.SHUT_WR)
got = int(one.recv(99))
rate = got * 8 / (time.perf_counter() - begun) / 1e9
one, trips = connect(b'r'), []
for _ in range({TRIPS}):
    begun = time.perf_counter()
    one.sendall(b'x'); one.recv(1)
    trips.append(time.perf_counter() - begun)
print(rate, statistics.median(trips) * 1e6)
"""
PYTHON = ("/usr/bin/python3", "-c")


def measure(enter: tuple[list[str], list[str]], target: str) -> list[float]:
    """Gb/s and microseconds from inside `enter[0]` to `target`, a server inside `enter[1]`."""
    with subprocess.Popen([*enter[1], *PYTHON, SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            done = subprocess.run(
                [*enter[0], *PYTHON, CLIENT, target], capture_output=True, text=True, check=True, timeout=30
            )
        finally:
            server.kill()
    return [float(word) for word in done.stdout.split()]


def between_hosts(one: SimulatedHost, two: SimulatedHost) -> list[float]:
    enter = tuple(["nsenter", f"--net=/run/netns/{host.namespace}"] for host in (one, two))
    return measure((enter[0], enter[1]), two.underlay)


def between_containers(one: SimulatedHost, two: SimulatedHost) -> list[float]:
    """Inside the network namespaces of two instances of one app."""
    enter = tuple(["nsenter", f"--net=/proc/{container_pid(host)}/ns/net"] for host in (one, two))
    return measure((enter[0], enter[1]), two.addresses()["i-" + two.name])


def container_pid(host: SimulatedHost) -> int:
    (file,) = (host.home / "c").iterdir()
    record = storage.load(file)
    assert record is not None
    return record.pid


def join(one: SimulatedHost, two: SimulatedHost) -> None:
    for host in (one, two):
        host.add("i-" + host.name, "app", f"web.{host.name[-1]}")
        host.give()
    told = {one.name: two.members(), two.name: one.members()}
    for host in (one, two):
        host.give((one.peer, two.peer), told[host.name])
    for host, other in ((one, two), (two, one)):
        address = other.addresses()["i-" + other.name]
        eventually(
            lambda h=host, a=address: h.ask("i-" + h.name, "connect", a, "8000").startswith("open"), 10
        )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    found: dict[str, list[list[float]]] = {}
    for _ in range(rounds):
        for mode in ("routes", "vxlan"):
            with two_hosts(mode) as (one, two):
                found.setdefault("without us", []).append(between_hosts(one, two))
                join(one, two)
                found.setdefault(mode, []).append(between_containers(one, two))
    base = [statistics.median(column) for column in zip(*found["without us"], strict=True)]
    print(f"{'':12} {'Gb/s':>6} {'ratio':>6} {'rtt p50 us':>11} {'ratio':>6}")
    for name, rows in found.items():
        rate, trip = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:12} {rate:6.2f} {rate / base[0]:6.2f} {trip:11.0f} {trip / base[1]:6.2f}")


if __name__ == "__main__":
    main()
