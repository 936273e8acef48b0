"""A Docker engine as a peer of benchmarks: Debian's packages, unpacked and never installed, its state in one folder.

In: root and a Debian mirror.  Out: `docker run` as a function; afterwards nothing of it is left. Raises `NoDocker` with
the reason where it cannot be started. containerd and dockerd live in mount and network namespaces of their own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from unpacked import NotToBeHad, choose_nft, environment, unpack

PACKAGES = (
    "docker.io",
    "containerd",
    "runc",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnftnl11",
)
LIMITS = ("--memory", "64m", "--pids-limit", "64", "--cpus", "0.5")
PROGRAMS = ("/bin/true", "/bin/sleep")
START_SECONDS = 60.0


class NoDocker(Exception):
    """Docker does not run here; the text says why."""


class Docker:
    """Open: an engine is running. `close` ends it and removes everything."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="q", dir="/tmp"))
        self.netns = f"bench{secrets.token_hex(3)}"
        self.group = f"bench-{self.netns}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._mounts: subprocess.Popen[bytes] | None = None
        try:
            self._unpack()
            self._make_namespaces()
            self._start_engine()
            self._import_image()
        except (OSError, subprocess.SubprocessError, NotToBeHad, NoDocker) as error:
            self.close()
            raise NoDocker(str(error)) from error

    def run(self, network: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = ["run", *LIMITS, "--cgroup-parent", f"/{self.group}", "--network", network, *words]
        return self._docker(*command)

    def case(self, network: str) -> Callable[[], None]:
        def run() -> None:
            done = self.run(network, "--rm", "bench", "/bin/true")
            if done.returncode != 0:
                raise RuntimeError(" ".join(done.stderr.decode(errors="replace").split())[-300:])

        return run

    def start_many(self, network: str, number: int, map_: Callable[..., object]) -> float:
        """Starts a second, `map_` being that of a pool of workers."""

        def start(n: int) -> None:
            done = self.run(network, "-d", "--name", f"t{n}", "bench", "/bin/sleep", "600")
            assert done.returncode == 0, done.stderr.decode()

        begun = time.perf_counter()
        tuple(map_(start, range(number)))  # type: ignore[arg-type]
        return number / (time.perf_counter() - begun)

    def close(self) -> None:
        if self._processes:
            listed = self._docker("ps", "--all", "--quiet").stdout.decode().split()
            if listed:
                self._docker("rm", "--force", *listed)
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        if self._mounts:
            self._mounts.kill()
            self._mounts.wait(10)
        subprocess.run(["ip", "netns", "del", self.netns], capture_output=True, check=False)
        for group in Path("/sys/fs/cgroup").glob(f"**/{self.group}"):
            for place, _, _ in os.walk(group, topdown=False):
                Path(place).rmdir()
        shutil.rmtree(self.home, ignore_errors=True)

    def _unpack(self) -> None:
        choose_nft(unpack(self.home, *PACKAGES))

    def _make_namespaces(self) -> None:
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        subprocess.run(["ip", "-n", self.netns, "link", "set", "lo", "up"], check=True)
        holder = ["unshare", "--mount", "--propagation", "private", "sleep", "infinity"]
        self._mounts = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.netns}", *holder])
        self._await(lambda: _comm(self._mounts.pid) == "sleep", "its namespaces")  # type: ignore[union-attr]

    def _start_engine(self) -> None:
        home = self.home
        address = f"{home}/containerd.sock"
        config = home / "containerd.toml"
        (home / "dockerd.json").write_text("{}")  # not the machine's own
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self._spawn(
            *("containerd", "--config", str(config), "--address", address),
            *("--root", f"{home}/containerd", "--state", f"{home}/containerd-state"),
        )
        self._await(lambda: Path(address).exists(), "containerd")
        self._spawn(
            *("dockerd", "--containerd", address, "--host", f"unix://{home}/docker.sock"),
            *(
                "--data-root",
                f"{home}/data",
                "--exec-root",
                f"{home}/exec",
                "--pidfile",
                f"{home}/docker.pid",
            ),
            *("--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            *("--bip", "172.31.255.1/24", "--config-file", f"{home}/dockerd.json", "--log-level", "error"),
        )
        self._await(lambda: self._docker("version").returncode == 0, "dockerd")

    def _import_image(self) -> None:
        """Two programs with their libraries."""
        files = {program: Path(program).resolve() for program in PROGRAMS}
        listed = subprocess.run(["ldd", *PROGRAMS], capture_output=True, text=True, check=True).stdout
        files |= {
            word: Path(word).resolve() for word in listed.split() if word.startswith("/") and word[-1] != ":"
        }
        root = self.home / "image"
        for name, source in files.items():
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        archive = self.home / "image.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        done = self._docker("import", str(archive), "bench")
        if done.returncode != 0:
            raise NoDocker(done.stderr.decode(errors="replace")[-200:])

    def _inside(self) -> list[str]:
        assert self._mounts
        return ["nsenter", f"--target={self._mounts.pid}", "--mount", "--net"]

    @property
    def _environment(self) -> dict[str, str]:
        return environment(self.home / "root", self.home)

    def _spawn(self, *command: str) -> None:
        with (self.home / f"{command[0]}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen([*self._inside(), *command], env=self._environment, stdout=log, stderr=log)
            )

    def _docker(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        program = self.home / "root" / "usr" / "bin" / "docker"
        command = [str(program), "--host", f"unix://{self.home}/docker.sock", *words]
        return subprocess.run(command, env=self._environment, capture_output=True, input=b"", check=False)

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            ended = next((one for one in self._processes if one.poll() is not None), None)
            if ended or time.monotonic() > deadline:
                words = [log.read_text(errors="replace")[-300:] for log in self.home.glob("*.log")]
                raise NoDocker(f"{what} did not start: {' '.join(' '.join(words).split())}")
            time.sleep(0.05)


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
