"""Apps that take all they can get, a neighbour that only wants to answer, and who asks it.

In: nothing.  Out: specs for an agent, the words in which each bomb must be reported, and how long answers took.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from runtime.model import (
    ContainerSpec,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    Limits,
    Rootfs,
)

MEBIBYTE = 2**20
PORT = 8000
BOMB_LIMITS = Limits(
    memory_bytes=128 * MEBIBYTE,
    pids=256,
    writable_bytes=32 * MEBIBYTE,
    tmp_bytes=16 * MEBIBYTE,
    nofile=512,
)
NEIGHBOUR = f"""
import asyncio
class Answer(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)
async def serve():
    server = await asyncio.get_running_loop().create_server(Answer, '', {PORT})
    await server.serve_forever()
asyncio.run(serve())
"""
FILL = """
import os
file = os.open('{0}/full', os.O_WRONLY | os.O_CREAT)
while True:
    try: os.write(file, bytes(65536))
    except OSError: pass
"""


@dataclass(frozen=True)
class Bomb:
    """A script for Python, and what must be said of it: a part of a line in its log and of an event."""

    name: str
    script: str
    words: str = ""


BOMBS = (
    Bomb("50 CPU hogs", "import os\nfor _ in range(49):\n    if not os.fork(): break\nwhile True: pass"),
    Bomb(
        "fork bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "limit of 256 processes",
    ),
    Bomb(
        "memory bomb",
        "import os\nwhile True:\n    if not os.fork():\n        block = []\n"
        "        while True: block.append(b'x' * 2**20)\n    os.wait()",
        "memory",
    ),
    Bomb(
        "fd bomb",
        "import os, time\nfiles = []\nwhile True:\n    try: files.append(os.dup(0))\n    except OSError: pass",
        "limit of 512 open files",
    ),
    Bomb("disk fill", FILL.format("/app"), "writable layer is full (32 MiB)"),
    Bomb("/tmp fill", FILL.format("/tmp"), "/tmp is full (16 MiB)"),
    Bomb(
        "disk-write loop",
        "import os\nwhile True:\n    with open('/app/x', 'wb') as file:\n"
        "        for _ in range(24): file.write(os.urandom(2**20))\n        os.fsync(file.fileno())",
    ),
    Bomb("log flood", "while True: print('a line of sixty characters or so, again and again and')", "lost"),
)


def python(id: str, script: str, owner: str, limits: Limits, port: int | None = None) -> InstanceSpec:
    spec = ContainerSpec(
        id=id,
        owner=owner,
        name="web.1",
        rootfs=Rootfs(host=True),
        argv=("/usr/bin/python3", "-c", script),
        cwd="/",
        limits=limits,
        grace_seconds=0.5,
        port=port,
    )
    kind = HealthKind.TCP if port else HealthKind.STEADY
    return InstanceSpec(container=spec, health=HealthCheck(kind=kind, steady_seconds=0.1))


def neighbour(id: str = "neighbour") -> InstanceSpec:
    return python(id, NEIGHBOUR, "good", Limits(memory_bytes=128 * MEBIBYTE), PORT)


def bomb_spec(bomb: Bomb, id: str, limits: Limits = BOMB_LIMITS) -> InstanceSpec:
    return python(id, bomb.script, "bad", limits)


def ask(address: str, number: int, pause: float = 0.0) -> list[float]:
    """Send `number` requests, a new connection for each, and return the seconds until each was answered.

    Raises OSError when one is not answered within 10 seconds.
    """
    times = []
    for count in range(number):
        word = f"request {count}".encode()
        begun = time.perf_counter()
        with socket.create_connection((address, PORT), 10) as one:
            one.settimeout(10)
            one.sendall(word)
            answer = one.recv(100)
        times.append(time.perf_counter() - begun)
        if answer != word:
            raise OSError(f"the answer to {word!r} was {answer!r}")
        if pause:
            time.sleep(pause)
    return times
