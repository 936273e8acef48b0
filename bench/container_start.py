#!/usr/bin/env python3
"""Starting containers: ours beside bare `crun run` of the same bundle, `podman run` and `docker run`, in turns.

In: root, the agent's packages; podman and Docker from Debian's packages, unpacked and not installed (--podman PATH:
another; '' and --no-docker leave them out), in temporary folders and network namespaces.
Out: p50 and p95 in milliseconds, starts per second, and the ratios.

"whole" is from nothing to gone: made, run (/bin/true), seen to have ended, removed. Ours has everything on: user
namespace, seccomp, own network with firewall, limits, conmon. Bare crun gets the root file system and the network ready
made. "ahead" is `start` of a container made before, which is how a release switches.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docker_peer import Docker, NoDocker
from unpacked import NotToBeHad, choose_nft, environment, unpack

from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.images import squashfs
from runtime.images.store import digest_of
from runtime.model import ContainerSpec, ImageRef, Limits, Rootfs

LIMITS = Limits(memory_bytes=64 * 2**20, pids=64, cpu_cores=0.5, writable_bytes=16 * 2**20, tmp_bytes=2**20)
PODMAN_PACKAGES = (
    "podman",
    "netavark",
    "aardvark-dns",
    "golang-github-containers-common",
    "libgpgme11",
    "libsubid4",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnftnl11",
)
Case = Callable[[], None]


@dataclass
class Bench:
    """An open engine, an image, and a made container whose bundle bare crun runs."""

    engine: CrunEngine
    image: ImageRef
    count: int = 0

    def spec(self, *argv: str) -> ContainerSpec:
        self.count += 1
        name = f"b{self.count}"
        rootfs = Rootfs(layers=(self.image,), host=True)
        return ContainerSpec(
            id=name, owner="bench", name=name, rootfs=rootfs, argv=argv, limits=LIMITS, cwd="/"
        )

    def inside(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command where crun works on every host: in the private mount namespace. Pipes, because crun gives its
        own stdio to the container's user."""
        return self.engine._mounts.call(subprocess.run, command, capture_output=True, input=b"", check=False)


@contextlib.contextmanager
def opened(pool: int) -> Iterator[Bench]:
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    subnet = f"10.{random.randrange(214, 250)}.{random.randrange(0, 256, 4)}.0/22"
    engine = CrunEngine(
        EngineConfig(home=home, tag=f"b{secrets.token_hex(3)}", subnet=subnet, pool_size=pool)
    )
    engine.open()
    try:
        source = home / "source"
        (source / "app").mkdir(parents=True)
        (source / "app" / "Procfile").write_text("web: true\n")
        squashfs.pack(source, home / "slug")
        digest, size = digest_of(home / "slug")
        image = ImageRef(digest=digest, size=size)
        engine.add_image(image, home / "slug")
        yield Bench(engine, image)
    finally:
        engine.close(remove=True)
        shutil.rmtree(home, ignore_errors=True)


def ours(bench: Bench) -> Case:
    def run() -> None:
        spec = bench.spec("/bin/true")
        bench.engine.create(spec)
        bench.engine.start(spec.id)
        ended = bench.engine.wait(spec.id, 60)
        assert ended is not None and ended.code == 0, ended
        bench.engine.delete(spec.id)

    return run


def bare_crun(bench: Bench) -> Case:
    """The bundle of a container of ours that is made and never started, under another id and control group."""
    spec = bench.spec("/bin/true")
    bench.engine.create(spec)
    layout = bench.engine._layout
    bundle, state = layout.home / "bare", layout.run / "bare-state"
    bundle.mkdir()
    written = layout.bundle(spec.id) / "config.json"
    config = json.loads(bench.engine._mounts.call(written.read_bytes))
    config["linux"]["cgroupsPath"] = layout.cgroup_of("bare")
    (bundle / "config.json").write_text(json.dumps(config))

    def run() -> None:
        done = bench.inside("crun", "--root", str(state), "run", "--bundle", str(bundle), "bare")
        assert done.returncode == 0, done.stderr.decode()

    return run


class Podman:
    """podman with all its state in one directory, its bridge in a network namespace of its own."""

    def __init__(self, bench: Bench, program: str, rootfs: Path) -> None:
        self.bench, self.home = bench, Path(tempfile.mkdtemp(prefix="q", dir="/tmp"))
        root = Path(program).parents[2]
        self.netns = f"bench{secrets.token_hex(3)}"
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        subprocess.run(["ip", "-n", self.netns, "link", "set", "lo", "up"], check=True)
        helpers = [str(Path(program).parents[1] / "lib" / "podman"), "/usr/lib/podman", "/usr/libexec/podman"]
        conf = self.home / "containers.conf"
        conf.write_text(
            f'[engine]\nhelper_binaries_dir = {json.dumps(helpers)}\nevents_logger = "none"\n'
            '[network]\nnetwork_backend = "netavark"\n'
        )
        unpacked = environment(root, self.home) if root != Path("/") else {}
        self.environment = os.environ | unpacked | {"CONTAINERS_CONF": str(conf)}
        self.command = [
            *("nsenter", f"--net=/run/netns/{self.netns}", program),
            *(
                "--root",
                str(self.home / "root"),
                "--runroot",
                str(self.home / "run"),
                "--tmpdir",
                str(self.home / "tmp"),
            ),
            *("--network-config-dir", str(self.home / "net"), "--storage-driver", "vfs", "--runtime", "crun"),
            *("--cgroup-manager", "cgroupfs"),
        ]
        self.limits = [
            "--memory",
            "64m",
            "--pids-limit",
            "64",
            "--cpus",
            "0.5",
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ]
        self.rootfs = str(rootfs)

    def run(self, network: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [*self.command, "run", *self.limits, "--network", network, *words]
        return self.bench.engine._mounts.call(
            subprocess.run, command, capture_output=True, input=b"", env=self.environment, check=False
        )

    def case(self, network: str) -> Case:
        def run() -> None:
            done = self.run(network, "--rm", "--rootfs", self.rootfs, "/bin/true")
            if done.returncode != 0:
                raise RuntimeError(" ".join(done.stderr.decode(errors="replace").split())[-300:])

        return run

    def close(self) -> None:
        command = [*self.command, "rm", "--all", "--force", "--time", "0"]
        self.bench.engine._mounts.call(
            subprocess.run, command, capture_output=True, env=self.environment, check=False
        )
        subprocess.run(["ip", "netns", "del", self.netns], check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def find_podman(stack: contextlib.ExitStack) -> str:
    """The machine's, else Debian's, unpacked; '' with the reason on stdout when it cannot be had."""
    installed = shutil.which("podman")
    if installed and Path("/usr/lib/podman/netavark").exists():
        return installed
    home = Path(tempfile.mkdtemp(prefix="q", dir="/tmp"))
    stack.callback(shutil.rmtree, home, ignore_errors=True)
    try:
        root = unpack(home, *PODMAN_PACKAGES)
        choose_nft(root)
        return str(root / "usr" / "bin" / "podman")
    except NotToBeHad as error:
        print(f"podman is left out: {error}")
        return ""


def find_docker(stack: contextlib.ExitStack) -> Docker | None:
    try:
        docker = Docker()
    except NoDocker as error:
        print(f"Docker is left out: {error}")
        return None
    stack.callback(docker.close)
    return docker


def interleave(cases: dict[str, Case], rounds: int) -> dict[str, list[float]]:
    """Seconds per case; the order turns round every time, so that no case always follows the same other."""
    times: dict[str, list[float]] = defaultdict(list)
    names = list(cases)
    for number in range(rounds + 2):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.perf_counter()
            cases[name]()
            if number >= 2:  # the first two warm caches
                times[name].append(time.perf_counter() - began)
    return times


def start_ahead(bench: Bench, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        spec = bench.spec("/bin/sleep", "60")
        bench.engine.create(spec)
        began = time.perf_counter()
        bench.engine.start(spec.id)
        times.append(time.perf_counter() - began)
        bench.engine.kill(spec.id, SIGKILL)
        bench.engine.delete(spec.id)
    return times


def throughput(bench: Bench, number: int, workers: int) -> tuple[float, float]:
    """Starts per second, and seconds to kill and remove them all."""
    specs = [bench.spec("/bin/sleep", "600") for _ in range(number)]

    def start(spec: ContainerSpec) -> None:
        bench.engine.create(spec)
        bench.engine.start(spec.id)

    def stop(spec: ContainerSpec) -> None:
        bench.engine.kill(spec.id, SIGKILL)
        bench.engine.delete(spec.id)

    with ThreadPoolExecutor(workers) as pool:
        began = time.perf_counter()
        tuple(pool.map(start, specs))
        started = time.perf_counter()
        assert sum(one.running for one in bench.engine.list()) >= number
        tuple(pool.map(stop, specs))
        return number / (started - began), time.perf_counter() - started


def podman_throughput(podman: Podman, network: str, number: int, workers: int) -> float:
    def start(n: int) -> None:
        done = podman.run(network, "-d", "--name", f"t{n}", "--rootfs", podman.rootfs, "/bin/sleep", "600")
        assert done.returncode == 0, done.stderr.decode()

    with ThreadPoolExecutor(workers) as pool:
        began = time.perf_counter()
        tuple(pool.map(start, range(number)))
        return number / (time.perf_counter() - began)


def milliseconds(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"p50 {statistics.median(times) * 1000:7.1f} ms   p95 {p95 * 1000:7.1f} ms   n {len(times)}"


def verdict(name: str, value: float, limit: float, *, at_most: bool) -> None:
    kept = value <= limit if at_most else value >= limit
    bound = "at most" if at_most else "at least"
    print(f"{name}: {value:.2f} (wanted: {bound} {limit:g}) {'ok' if kept else 'MISSED'}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--starts", type=int, default=100, help="containers of the throughput run")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--pool", type=int, default=16, help="network namespaces made ahead (the agent: 16)")
    parser.add_argument("--podman", default="auto", help="its path; '' leaves it out")
    parser.add_argument("--no-docker", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("containers need root")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with opened(arguments.pool) as bench, contextlib.ExitStack() as stack:
        crun = bare_crun(bench)
        cases = {"ours": ours(bench), "bare crun run": crun}
        podman = None
        program = arguments.podman if arguments.podman != "auto" else find_podman(stack)
        if program:
            podman = Podman(bench, program, bench.engine._layout.work("b1") / "rootfs")
            stack.callback(podman.close)
            for network in ("bridge", "none"):
                try:
                    podman.case(network)()
                    cases[f"podman run, {network}"] = podman.case(network)
                except RuntimeError as error:
                    print(f"podman --network {network} does not run here: {error}")
        docker = None if arguments.no_docker else find_docker(stack)
        for network in ("bridge", "none"):
            if docker is None:
                break
            try:
                docker.case(network)()
                cases[f"docker run, {network}"] = docker.case(network)
            except RuntimeError as error:
                print(f"docker --network {network} does not run here: {error}")
        times = interleave(cases, arguments.rounds)
        print("\nwhole start and removal of /bin/true")
        for name, row in times.items():
            print(f"  {name:24} {milliseconds(row)}")
        ahead = start_ahead(bench, arguments.rounds)
        print(f"  {'start of one made ahead':24} {milliseconds(ahead)}")
        rate, removal = throughput(bench, arguments.starts, arguments.workers)
        print(
            f"\n{arguments.starts} starts, {arguments.workers} workers: {rate:.1f}/s; all removed in {removal:.1f} s"
        )
        network = next((name.split(", ")[1] for name in cases if name.startswith("podman")), "")
        peer = (
            podman_throughput(podman, network, arguments.starts, arguments.workers)
            if network and podman
            else 0
        )
        if peer:
            print(f"podman ({network}), {arguments.starts} starts: {peer:.1f}/s")
        if docker and (
            network := next((name.split(", ")[1] for name in cases if name.startswith("docker")), "")
        ):
            with ThreadPoolExecutor(arguments.workers) as pool:
                number = arguments.starts
                print(
                    f"docker ({network}), {number} starts: {docker.start_many(network, number, pool.map):.1f}/s"
                )
        print()
        report(times, ahead, rate, peer)
    print(f"load after: {os.getloadavg()[0]:.1f}")
    return 0


def report(times: dict[str, list[float]], ahead: list[float], rate: float, peer: float) -> None:
    p50 = {name: statistics.median(row) for name, row in times.items()}
    verdict("ours / bare crun run", p50["ours"] / p50["bare crun run"], 2.0, at_most=True)
    if "podman run, bridge" in p50:
        verdict("podman run, bridge / ours", p50["podman run, bridge"] / p50["ours"], 8.0, at_most=False)
    if "docker run, bridge" in p50:
        verdict("docker run, bridge / ours", p50["docker run, bridge"] / p50["ours"], 8.0, at_most=False)
    for peer_name in ("podman run, none", "docker run, none"):
        if peer_name in p50:
            print(f"{peer_name} (without any network) / ours with one: {p50[peer_name] / p50['ours']:.2f}")
    verdict("start of one made ahead, ms", statistics.median(ahead) * 1000, 10.0, at_most=True)
    verdict("starts a second", rate, 30.0, at_most=False)
    if peer:
        verdict("starts a second, ours / podman", rate / peer, 8.0, at_most=False)


if __name__ == "__main__":
    sys.exit(main())
