"""A machine beyond this host: a network namespace of its own with addresses that answer on TCP and UDP.

In: nothing.  Out: its addresses; they are of the range reserved for benchmarks (RFC 2544), so nobody's.
"""

from __future__ import annotations

import random
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

PORTS = (9000, 9001)
_SERVE = f"""
import socket, threading
def accept(server):
    while 1:
        one, _ = server.accept()
        threading.Thread(target=echo, args=(one,), daemon=True).start()
def echo(one):
    while data := one.recv(4096): one.sendall(data)
for port in {PORTS}:
    server = socket.create_server(('', port))
    threading.Thread(target=accept, args=(server,), daemon=True).start()
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(('', {PORTS[0]}))
print('up', flush=True)
while 1: datagrams.sendto(*datagrams.recvfrom(4096))
"""


@dataclass(frozen=True)
class Outside:
    """`first` and `second` are addresses of the machine, `network` has both."""

    namespace: str
    network: str
    first: str
    second: str


def some_network() -> str:
    """The first three numbers of addresses that a machine outside can have."""
    return f"198.19.{random.randrange(1, 255)}"


@contextmanager
def machine_outside(start: str = "") -> Iterator[Outside]:
    """`start`: of `some_network`, where the addresses must be known before the machine is there."""
    name, start = f"o{secrets.token_hex(3)}", start or some_network()
    commands = (
        f"netns add {name}",
        f"link add {name}h type veth peer name eth0 netns {name}",
        f"addr add {start}.1/24 dev {name}h",
        f"link set {name}h up",
        f"-n {name} link set lo up",
        f"-n {name} addr add {start}.2/24 dev eth0",
        f"-n {name} addr add {start}.3/24 dev eth0",
        f"-n {name} link set eth0 up",
    )
    process = None
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        run = ["nsenter", f"--net=/run/netns/{name}", "/usr/bin/python3", "-c", _SERVE]
        process = subprocess.Popen(run, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield Outside(name, f"{start}.0/24", f"{start}.2", f"{start}.3")
    finally:
        if process is not None:
            process.kill()
            process.communicate()
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["ip", "link", "del", f"{name}h"], check=True)
        subprocess.run(["ip", "netns", "del", name], check=False)
