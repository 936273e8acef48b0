"""The engine port with plain processes on this host: what the agent needs, without namespaces or root.

In: container specs.  Out: real processes (through shim.py) that outlive the agent. Images are plain files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runtime.container.port import (
    Asked,
    Asking,
    Attempt,
    Bind,
    Created,
    EngineError,
    Observed,
    StoredImage,
    StoredVolume,
    Strain,
    Usage,
    VolumeBind,
)
from runtime.model import (
    ContainerSpec,
    DoctorReport,
    Egress,
    ExitInfo,
    ExitReason,
    HostNetwork,
    ImageRef,
    Limits,
    Member,
    Network,
    Offer,
    Peer,
    encode,
)
from runtime.volumes.service import VolumeService
from runtime.volumes.store import VolumeStore

SHIM = Path(__file__).with_name("shim.py")
ADDRESS = "127.0.0.1"
USED = 8 * 1024**2  # what every process here is said to use


class ProcessEngine:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.places = home / "c"
        self.images = home / "images"
        self.logs = home / "logs"
        self.volumes = home / "volumes"
        self.data = VolumeStore(home / "data", home / "mounts")

    def open(self) -> None:
        for folder in (self.places, self.images, self.logs, self.volumes):
            folder.mkdir(parents=True, exist_ok=True)
        self.data.recover(())

    def connect(
        self,
        peers: tuple[Peer, ...],
        members: tuple[Member, ...],
        network: int,
        networks: tuple[Network, ...] = (),
    ) -> None:
        if peers:
            raise EngineError("Plain processes have no network of their own to join to peers.")

    def network(self) -> HostNetwork:
        return HostNetwork()

    def offer(self) -> Offer:
        return Offer()

    def serve_names(self, port: int) -> None:
        """Processes ask the host's own name servers."""

    def owner_at(self, address: str) -> str | None:
        return None

    def confine(self, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> None:
        """Processes go where the host goes."""

    def asks(self, address: str, name: str) -> Asking:
        return Asking.FREE

    def answered(self, address: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        """Nobody is confined."""

    def refused(self) -> tuple[Attempt, ...]:
        return ()

    def strain(self, container: str) -> Strain | None:
        return None

    def weigh(self, container: str, shares: int) -> None:
        """Processes of the host have no control group."""

    def hold_back(self, container: str, cores: float | None) -> None:
        """Nor a limit of processor time."""

    def strains(self) -> tuple[Strain, ...]:
        """Processes of the host have none of the limits."""
        return ()

    def close(self, *, remove: bool) -> None:
        if remove:
            for place in self.places.iterdir():
                self.delete(place.name)

    def image_file(self, ref: ImageRef) -> Path:
        return self.images / ref.digest.removeprefix("sha256:")

    def missing_images(self, refs: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
        return tuple(ref for ref in refs if not self.image_file(ref).exists())

    def add_image(self, ref: ImageRef, file: Path) -> None:
        if _digest(file.read_bytes()) != ref.digest:
            raise EngineError(f"The downloaded image is not {ref.digest}; it is fetched again.")
        file.rename(self.image_file(ref))

    def stored_images(self) -> tuple[StoredImage, ...]:
        stats = ((file, file.stat()) for file in self.images.iterdir())
        return tuple(
            StoredImage(digest=f"sha256:{file.name}", size=stat.st_size, used_at=stat.st_mtime)
            for file, stat in stats
        )

    def remove_image(self, ref: ImageRef) -> None:
        self.image_file(ref).unlink(missing_ok=True)

    def stored_volumes(self) -> tuple[StoredVolume, ...]:
        return tuple(
            StoredVolume(
                owner=file.parent.name,
                name=file.name,
                disk_bytes=file.stat().st_size,
                used_at=file.stat().st_mtime,
            )
            for file in self.volumes.glob("*/*")
        )

    def remove_volume(self, owner: str, name: str) -> bool:
        (self.volumes / owner / name).unlink(missing_ok=True)
        return True

    def keeper(self) -> VolumeService:
        return VolumeService(self.data, lambda call, *args: call(*args))

    def owners(self) -> tuple[str, ...]:
        return tuple(place.name for place in self.volumes.iterdir())

    def examine(self, asked: Asked, *, repair: bool) -> DoctorReport:
        return DoctorReport()

    def forget_owner(self, owner: str) -> bool:
        place = self.volumes / owner
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
        return not place.exists()

    def create(
        self,
        spec: ContainerSpec,
        *,
        binds: tuple[Bind, ...] = (),
        scratch_bytes: int = 0,
        volumes: tuple[VolumeBind, ...] = (),
    ) -> Created:
        place = self.places / spec.id
        if not (place / "pid").exists():
            if self.missing_images(spec.rootfs.layers):
                raise EngineError("A layer of the root is not on this host.")
            self._make(place, spec, binds)
            for volume in volumes:
                (self.volumes / spec.owner).mkdir(exist_ok=True)
                (self.volumes / spec.owner / volume.name).touch()
        return Created(id=spec.id, pid=_number(place / "pid"), address=ADDRESS)

    def _make(self, place: Path, spec: ContainerSpec, binds: tuple[Bind, ...]) -> None:
        if any("=" in name for name in spec.env):
            raise EngineError("A name in the environment holds '='; rename it.")
        shutil.rmtree(place, ignore_errors=True)
        root = place / "root"
        root.mkdir(parents=True)
        inputs = {f"INPUT_{Path(bind.target).name.upper()}": bind.source for bind in binds}
        port = {"PORT": str(spec.port)} if spec.port else {}
        shim = {
            "argv": spec.argv,
            "env": {"PATH": os.environ["PATH"], "ROOT": str(root), **port, **inputs, **spec.env},
            "cwd": str(root),
            "log": str(self.log_path(spec.id)),
            "owner": spec.owner,
            "name": spec.name,
        }
        (place / "spec.json").write_text(json.dumps(shim))
        shim_command = [sys.executable, "-S", str(SHIM), str(place)]
        # Through a shell in the background, so that the shim is nobody's child here, as conmon is.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" >/dev/null 2>"$0" &', str(place / "errors"), *shim_command],
            stdin=subprocess.DEVNULL,
            check=True,
        )
        _wait_for(place / "pid")

    def start(self, container: str) -> None:
        place = self.places / container
        if place.exists() and not (place / "start").exists():
            (place / "started_at").write_text(str(time.time()))
            (place / "start").touch()

    def kill(self, container: str, signal_: int) -> None:
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = _number(self.places / container / "pid")
            if not (self.places / container / "exit").exists():
                os.killpg(pid, signal_)

    def update(self, container: str, limits: Limits) -> None:
        place = self.places / container
        if not place.exists() or (place / "exit").exists():
            raise EngineError(f"Container {container} does not run.")
        if limits.memory_bytes < USED:
            raise EngineError(f"It uses more memory than {limits.memory_bytes} bytes.")
        (place / "limits.json").write_bytes(encode(limits))

    def wait(self, container: str, timeout: float) -> ExitInfo | None:
        file = self.places / container / "exit"
        deadline = time.monotonic() + timeout
        while not file.exists():
            if time.monotonic() > deadline:
                return None
            time.sleep(0.005)
        code, at = _number(file), file.stat().st_mtime
        if code > 128:
            return ExitInfo(reason=ExitReason.SIGNALED, code=code, signal=code - 128, at=at)
        return ExitInfo(reason=ExitReason.EXITED, code=code, at=at)

    def delete(self, container: str) -> None:
        place = self.places / container
        if place.exists():
            self.kill(container, signal.SIGKILL)
            if (place / "pid").exists():
                _wait_for(place / "exit")
            shutil.rmtree(place, ignore_errors=True)

    def list(self) -> tuple[Observed, ...]:
        return tuple(self._observe(place) for place in self.places.iterdir() if (place / "pid").exists())

    def _observe(self, place: Path) -> Observed:
        spec = json.loads((place / "spec.json").read_text())
        exit = self.wait(place.name, 0)
        started = place / "started_at"
        return Observed(
            id=place.name,
            owner=spec["owner"],
            name=spec["name"],
            running=exit is None,
            pid=_number(place / "pid"),
            address=ADDRESS,
            exit=exit,
            started_at=float(started.read_text()) if started.exists() else None,
        )

    def log_path(self, container: str) -> Path:
        return self.logs / f"{container}.log"

    def reopen_log(self, container: str) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(_number(self.places / container / "shim.pid"), signal.SIGHUP)

    def read_file(self, container: str, path: str, limit: int) -> bytes:
        return (self.places / container / "root" / path.lstrip("/")).read_bytes()[:limit]

    def export(
        self,
        container: str,
        directory: str,
        target: Path,
        *,
        keep_times: bool = False,
        without: tuple[str, ...] = (),
    ) -> ImageRef:
        folder = self.places / container / "root" / directory.lstrip("/")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        left_out = [self.places / container / "root" / path.lstrip("/") for path in without]
        files = [path for path in files if not any(path.is_relative_to(one) for one in left_out)]
        data = b"".join(f"{path.relative_to(folder)}\n".encode() + path.read_bytes() for path in files)
        target.write_bytes(data)
        ref = ImageRef(digest=_digest(data), size=len(data))
        shutil.copy(target, self.image_file(ref))
        return ref

    def usage(self, container: str) -> Usage | None:
        if not (self.places / container / "pid").exists() or (self.places / container / "exit").exists():
            return None
        return Usage(memory_bytes=1024, memory_limit_bytes=2048, cpu_seconds=0.5, pids=1)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _number(path: Path) -> int:
    return int(path.read_text())


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline:
            raise EngineError(f"{path} did not appear")
        time.sleep(0.005)
