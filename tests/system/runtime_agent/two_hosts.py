"""Two hosts on one machine: a network namespace each, a bridge between them, and a real agent in both.

In: the overlay mode.  Out: agents to give wanted states to, containers that try connections and names from inside.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))

from agent_on_processes import AGENT_TOKEN, eventually

from runtime.client import AgentClient
from runtime.model import (
    ContainerSpec,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    InstanceState,
    Limits,
    Member,
    Peer,
    Rootfs,
    WantedState,
)
from runtime.network.rules import names_of

ROOT = Path(__file__).parents[3]
PORT = 8000
PROBE = """
import http.client, http.server, socket, threading, time, urllib.parse
held = []
class Probe(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *words): pass
    def do_GET(self):
        verb, _, what = urllib.parse.unquote(self.path[1:]).partition('/')
        try: text = getattr(self, verb)(*filter(None, what.split(',')))
        except TimeoutError: text = 'silent'
        except (OSError, http.client.HTTPException) as error: text = type(error).__name__
        self.send_response(200); self.send_header('Content-Length', str(len(text))); self.end_headers()
        self.wfile.write(text.encode())
    def connect(self, address, port):
        with socket.create_connection((address, int(port)), 3) as one: return 'open ' + one.getsockname()[0]
    def who(self): return self.client_address[0]
    def hold(self, address, port):
        held.append(http.client.HTTPConnection(address, int(port), timeout=3))
        held[-1].connect()
        held[-1].auto_open = 0
        return self.held()
    def held(self):
        held[-1].request('GET', '/who')
        return 'open' if held[-1].getresponse().read() else 'closed'
    def resolve(self, name):
        return ' '.join(sorted({one[4][0] for one in socket.getaddrinfo(name, 80, socket.AF_INET)}))
    def sick(self): threading.Thread(target=self.server.shutdown).start(); return 'yes'
    def send(self, size):
        return 'x' * int(size)
    def load(self, address, size):
        import urllib.request
        begun = time.perf_counter()
        got = len(urllib.request.urlopen(f'http://{address}:8000/send/{size}', timeout=20).read())
        return f'{got} {time.perf_counter() - begun}'
server = http.server.ThreadingHTTPServer(('', 8000), Probe)
server.serve_forever()
server.server_close()
time.sleep(3600)
"""


@dataclass
class SimulatedHost:
    """One host. `give` replaces its wanted state; `ask` makes one of its containers try something."""

    name: str
    namespace: str
    underlay: str
    subnet: str
    tag: str
    overlay: str
    home: Path
    process: subprocess.Popen[bytes] | None = None
    generation: int = 0
    instances: list[InstanceSpec] = field(default_factory=list)
    client: AgentClient = field(init=False)

    @property
    def environment(self) -> dict[str, str]:
        token = self.home / "token"
        token.write_text(AGENT_TOKEN)
        token.chmod(0o600)
        return {
            "PATH": os.environ["PATH"],
            "PAAS_AGENT_HOME": str(self.home),
            "PAAS_AGENT_LISTEN": f"{self.underlay}:0",
            "PAAS_AGENT_HOST_ID": self.name,
            "PAAS_AGENT_TOKEN_FILE": str(token),
            "PAAS_AGENT_TAG": self.tag,
            "PAAS_AGENT_SUBNET": self.subnet,
            "PAAS_AGENT_OVERLAY": self.overlay,
            "PAAS_AGENT_UNDERLAY": self.underlay,
        }

    @property
    def log(self) -> str:
        return (self.home / "agent.log").read_text()

    def start(self) -> None:
        address = self.home / "agent" / "address"
        address.unlink(missing_ok=True)
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", sys.executable, "-m", "runtime", "agent"]
        with (self.home / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        eventually(lambda: address.exists() or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.log
        self.client = AgentClient(f"http://{address.read_text()}", AGENT_TOKEN)

    def kill(self) -> None:
        assert self.process
        self.client.close()
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Stop the agent and all it has; start it once more for that if it is gone."""
        if self.process is None:
            return
        if self.process.poll() is not None:
            self.start()
        self.client.stop()
        self.client.close()
        self.process.wait(30)

    def inside(self, *command: str) -> str:
        """Run a command of this machine in the host's network."""
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", *command]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout

    def add(self, id: str, owner: str, name: str) -> None:
        spec = ContainerSpec(
            id=id,
            owner=owner,
            name=name,
            rootfs=Rootfs(host=True),
            argv=("/usr/bin/python3", "-c", PROBE),
            port=PORT,
            limits=Limits(memory_bytes=256 * 1024**2, pids=64),
            grace_seconds=1.0,
        )
        health = HealthCheck(kind=HealthKind.TCP, interval=0.2, unhealthy_threshold=1)
        self.instances.append(InstanceSpec(container=spec, health=health))

    def give(self, peers: tuple[Peer, ...] = (), members: tuple[Member, ...] = (), **more: object) -> None:
        self.generation += 1
        fields = {"instances": tuple(self.instances), "peers": peers, "members": members, **more}
        self.client.put_wanted(WantedState(generation=self.generation, **fields))

    def addresses(self, seconds: float = 30) -> dict[str, str]:
        """Every instance's address by id, once all are up."""

        def all_up() -> dict[str, str]:
            up = [one for one in self.client.report().instances if one.state is InstanceState.UP]
            found = {one.id: one.address for one in up}
            return found if len(found) == len(self.instances) else {}

        return eventually(all_up, seconds, self.log)

    def ask(self, id: str, *words: str) -> str:
        """What the container `id` says to a request such as ("connect", address, port)."""
        return self.asker(id)(*words)

    def asker(self, id: str) -> Callable[..., str]:
        """As `ask`, while the agent is away too."""
        address = next(one.address for one in self.client.report().instances if one.id == id)

        def ask(*words: str) -> str:
            url = f"http://{address}:{PORT}/{words[0]}/{','.join(words[1:])}"
            script = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=30).read().decode())"
            return self.inside("/usr/bin/python3", "-c", script).strip()

        return ask

    def members(self) -> tuple[Member, ...]:
        """Its containers, as the other host is told of them."""
        addresses = self.addresses()
        specs = [one.container for one in self.instances]
        return tuple(Member(owner=one.owner, address=addresses[one.id], name=one.name) for one in specs)

    @property
    def peer(self) -> Peer:
        return Peer(host=self.name, address=self.underlay, subnet=self.subnet)

    def leftovers(self) -> list[str]:
        """Whatever of its agent the machine still shows."""
        texts = (
            Path("/proc/self/mountinfo").read_text(),
            self.inside("ip", "-o", "link"),
            self.inside("ip", "route"),
            self.inside("nft", "list", "tables"),
        )
        names = names_of(self.tag)
        marks = (self.tag, names.veth, names.vxlan, names.wireguard, "proto 117")
        own = [line for text in texts for line in text.splitlines() if any(mark in line for mark in marks)]
        return own + [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/paas-{self.tag}")]


@contextmanager
def two_hosts(overlay: str) -> Iterator[tuple[SimulatedHost, SimulatedHost]]:
    """Two hosts with agents that run; afterwards nothing of them is left."""
    mark, third = secrets.token_hex(2), random.randrange(256)
    second = random.randrange(100, 200)
    bridge = f"b{mark}"
    hosts = tuple(
        SimulatedHost(
            name=f"host-{letter}",
            namespace=f"n{mark}{letter}",
            underlay=f"198.18.{third}.{number + 2}",
            subnet=f"10.{second}.{number * 64 + third % 64}.0/24",
            tag=f"t{mark}{letter}",
            overlay=overlay,
            home=Path(tempfile.mkdtemp(prefix="p", dir="/tmp")),
        )
        for number, letter in enumerate("ab")
    )
    try:
        # An address of its own: it would take another one with each host that goes, and the other host not know it.
        _ip("link", "add", bridge, "address", "02:00:5e:00:00:01", "type", "bridge")
        _ip("addr", "add", f"198.18.{third}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for host in hosts:
            _plug(host, bridge)
            host.start()
        yield hosts[0], hosts[1]
    finally:
        left: list[str] = []
        with ExitStack() as all_of_it:
            all_of_it.callback(subprocess.run, ["ip", "link", "del", bridge], check=False)
            for host in reversed(hosts):
                all_of_it.callback(_end, host, left)
    assert not left, left


def _end(host: SimulatedHost, left: list[str]) -> None:
    try:
        host.end()
        left += host.leftovers()
    finally:
        if host.process and host.process.poll() is None:
            host.kill()
        subprocess.run(["ip", "netns", "del", host.namespace], check=False)
        shutil.rmtree(host.home, ignore_errors=True)


def _plug(host: SimulatedHost, bridge: str) -> None:
    end = f"e{host.namespace[1:]}"
    _ip("netns", "add", host.namespace)
    _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip("link", "set", end, "master", bridge, "up")
    for words in (
        ("addr", "add", f"{host.underlay}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "lo", "up"),
        ("route", "add", "default", "via", host.underlay.rpartition(".")[0] + ".1"),
    ):
        _ip("-n", host.namespace, *words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
