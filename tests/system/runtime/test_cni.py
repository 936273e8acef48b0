"""Containers on a CNI network: Debian's own plugins as they are, and nothing left of it, whoever dies when."""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.container.port import EngineError
from runtime.network.cni.attachments import Attachments
from runtime.network.pool import Slot
from tests.system.runtime.conftest import Host, collect_orphans, make_config, traces

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
PLUGINS = Path("/usr/lib/cni")
FAILING = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
[ ! -e "$CNI_PATH/hang" ] || { echo waiting for the switch >&2; sleep 600; true; }
echo '{"code": 11, "msg": "refused on purpose", "details": "by a test"}'
exit 1
"""


@dataclass(frozen=True)
class Network:
    """A network of this test alone: its files, its bridge, its addresses."""

    folder: Path
    bridge: str
    addresses: Path

    def taken(self) -> list[str]:
        return [file.name for file in self.addresses.glob("*/*") if file.name[0].isdigit()]

    def config(self, **changes: object) -> EngineConfig:
        values = {"cni": "apps", "cni_conf_dir": self.folder, "cni_bin_dir": self.folder / "bin"}
        return make_config(**(values | changes))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("cni")
    bridge, addresses = f"c{secrets.token_hex(4)}", folder / "addresses"
    subnet = f"10.{random.randrange(190, 214)}.{random.randrange(256)}.0/24"
    ipam = {
        "type": "host-local",
        "subnet": subnet,
        "dataDir": str(addresses),
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    first = {"type": "bridge", "bridge": bridge, "isGateway": True, "ipam": ipam}
    second = {"type": "tuning", "sysctl": {"net.core.somaxconn": "321"}}
    for name, last in (("apps", second), ("refusing", {"type": "failing"})):
        document = {"cniVersion": "1.0.0", "name": name, "plugins": [first, last]}
        (folder / f"{name}.conflist").write_text(json.dumps(document))
    (folder / "bin").mkdir()
    for plugin in PLUGINS.iterdir():
        (folder / "bin" / plugin.name).symlink_to(plugin)
    (folder / "bin" / "failing").write_text(FAILING)
    (folder / "bin" / "failing").chmod(0o755)
    yield Network(folder, bridge, addresses)
    subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)


@pytest.fixture(scope="module")
def host(open_host: Callable[..., Host], network: Network) -> Host:
    return open_host(network.config())


def ports_of(network: Network) -> int:
    return len(list(Path("/sys/class/net", network.bridge, "brif").glob("*")))


def inside(host: Host, function: Callable[..., object], *arguments: object) -> object:
    return host.engine._mounts.call(function, *arguments)


def test_a_container_is_on_the_network_and_off_it_again(host: Host, network: Network) -> None:
    server = host.start("/usr/bin/python3", "-m", "http.server", "8000")
    address = next(one.address for one in host.engine.list())
    script = f"""
import socket, time
for _ in range(200):
    try:
        socket.create_connection(("{address}", 8000), 2)
        break
    except OSError:
        time.sleep(0.05)
else:
    raise SystemExit("not reached")
print(open("/proc/sys/net/core/somaxconn").read(), [name for _, name in socket.if_nameindex()])
"""
    try:
        ended, output = host.python(script)
        assert (ended.code, output) == (0, "321\n ['lo', 'eth0']\n")
        assert network.taken() == [address]
        assert ports_of(network) == 1
        usage = host.engine.usage(server)
        assert usage is not None
        assert usage.network_received_bytes > 0
    finally:
        host.engine.delete(server)
    assert network.taken() == []
    assert ports_of(network) == 0
    assert "joins no hosts" in host.engine.network().problem


def test_fifty_at_once_have_fifty_addresses(host: Host, network: Network) -> None:
    pool = host.engine._parts.pool
    with ThreadPoolExecutor(50) as workers:
        slots = list(workers.map(lambda n: inside(host, pool.take, f"many-{n}"), range(50)))
        assert len({slot.address for slot in slots if isinstance(slot, Slot)}) == 50
        assert sorted(network.taken()) == sorted(slot.address for slot in slots if isinstance(slot, Slot))
        list(workers.map(lambda slot: inside(host, pool.release, slot), slots))
    assert network.taken() == []
    assert Attachments(host.config.home / "cni").all() == ()


def test_del_twice_and_with_the_namespace_gone(host: Host, network: Network) -> None:
    pool = host.engine._parts.pool
    one, other = (inside(host, pool.take, name) for name in ("one", "other"))
    assert isinstance(one, Slot)
    assert isinstance(other, Slot)
    kept = Attachments(host.config.home / "cni").load(one.number)
    assert kept is not None
    inside(host, pool.release, one)
    inside(host, pool.release, one)
    Attachments(host.config.home / "cni").save(kept)  # as if the agent had died before it could forget it
    inside(host, pool.release, one)
    inside(host, lambda: subprocess.run(["umount", "-l", other.path], check=True))
    inside(host, pool.release, other)
    assert network.taken() == []


def test_a_failing_add_is_undone(open_host: Callable[..., Host], network: Network) -> None:
    """One that refuses, one that does not end (with what it started), and one that was taken away meanwhile."""
    host = open_host(network.config(cni="refusing", cni_seconds=3.0))
    plugin = network.folder / "bin" / "failing"
    hang = plugin.with_name("hang")
    for prepare, words in (
        (lambda: None, r"failing refused ADD: refused on purpose: by a test \(code 11\)$"),
        (
            hang.touch,
            "failing did not end within 3 s of ADD and was stopped; it said: waiting for the switch$",
        ),
        (plugin.unlink, f"The CNI plugin {plugin} does not exist: install it"),
    ):
        prepare()
        with pytest.raises(EngineError, match=f"could not be put on the network: .*{words}"):
            host.engine.create(host.spec("true"))
        assert host.engine.list() == ()
        assert network.taken() == []
        assert ports_of(network) == 0
        # What a plugin that is gone cannot end stays written down, for the doctor.
        assert len(Attachments(host.config.home / "cni").all()) == (not plugin.exists())
    hang.unlink()
    plugin.write_text(FAILING)
    plugin.chmod(0o755)


WORKER = """
import sys
from pathlib import Path
from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
home, tag, subnet, folder = sys.argv[1:]
engine = CrunEngine(EngineConfig(home=Path(home), tag=tag, subnet=subnet, cni="apps", cni_conf_dir=Path(folder),
                                 cni_bin_dir=Path(folder, "bin")))
engine.open()
pool = engine._parts.pool
for number in range(1000):
    slot = engine._mounts.call(pool.take, f"c{number}")
    engine._mounts.call(pool.release, slot)
    print(number, flush=True)
"""


def test_cycles_with_kills_at_random_leak_no_address(
    open_host: Callable[..., Host], network: Network
) -> None:
    """Several agents in turn attach and detach as fast as they can, and are killed at any line."""
    config = network.config()
    words = [str(config.home), config.tag, config.subnet, str(network.folder)]
    chance, cycles = random.Random(20), 0
    for _ in range(12):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert worker.stdout is not None
        wanted = chance.randrange(15, 35)
        for line in worker.stdout:
            cycles += 1
            if int(line) >= wanted:
                break
        time.sleep(chance.random() / 10)  # the kill falls anywhere within an attach or detach
        worker.kill()
        worker.communicate()
    assert cycles > 180
    host = open_host(config)
    assert network.taken() == []
    assert ports_of(network) == 0
    assert Attachments(config.home / "cni").all() == ()
    host.engine.close(remove=True)
    collect_orphans()
    assert traces(config) == []


def test_the_doctor_finds_what_is_left(host: Host, network: Network) -> None:
    pool, attachments = host.engine._parts.pool, Attachments(host.config.home / "cni")
    left = inside(host, pool.take, "left")
    assert isinstance(left, Slot)
    pool._live.pop(left.number)  # what an agent forgot that could not run DEL
    stranger = network.addresses / "apps" / "10.255.255.9"
    stranger.write_text(f"paas-{host.config.tag}.gone\r\neth0")
    theirs = network.addresses / "apps" / "10.255.255.8"
    theirs.write_text("another-platform\r\neth0")
    report = host.engine.examine(Nobody(), repair=True)
    kinds = {(one.kind, one.name): one.repaired for one in report.findings}
    assert kinds[("attachment", f"paas-{host.config.tag}.left")] is True
    assert kinds[("address", "10.255.255.9")] is True
    assert network.taken() == ["10.255.255.8"]
    theirs.unlink()
    assert attachments.all() == ()
    container = host.start("/bin/sleep", "60")
    assert host.engine.examine(Asks(container), repair=False).findings == ()
    (slot,) = pool.live()
    flush = ["nsenter", f"--net={slot.path}", "ip", "address", "flush", "dev", "eth0"]
    inside(host, lambda: subprocess.run(flush, check=True))
    (finding,) = host.engine.examine(Asks(container), repair=False).findings
    assert "is not on its CNI network as it should be: The CNI plugin bridge refused CHECK" in finding.problem
    host.engine.delete(container)


def test_networks_are_not_mixed(open_host: Callable[..., Host], network: Network) -> None:
    config = network.config()
    host = open_host(config)
    host.start("/bin/sleep", "60")
    host.engine.close(remove=False)
    own = CrunEngine(EngineConfig(home=config.home, tag=config.tag, subnet=config.subnet))
    with pytest.raises(EngineError, match="are on the CNI network apps: set PAAS_AGENT_CNI again"):
        own.open()


@dataclass(frozen=True)
class Asks:
    """An agent that was asked for one container."""

    container: str

    def containers(self) -> frozenset[str]:
        return frozenset({self.container})

    def jobs(self) -> frozenset[str]:
        return frozenset()


class Nobody:
    def containers(self) -> frozenset[str]:
        return frozenset()

    def jobs(self) -> frozenset[str]:
        return frozenset()
