"""What one does with a container that is there: its output, its files, further processes in it, its counters.

In: the calls of the port `Engine` about them.  Out: descriptors, files and numbers; no container changes its state.
"""

from __future__ import annotations

import socket
from pathlib import Path, PurePosixPath

from runtime.container import conmon, copies, execs, files, offering, stock, storage
from runtime.container.config import EngineConfig
from runtime.container.ledger import Ledger
from runtime.container.port import EngineError, Strain, Usage
from runtime.container.strains import Strains, look_at
from runtime.images import packing
from runtime.model import CopySpec, ExecSpec, ImageRef


class Visiting(Ledger):
    """A part of `CrunEngine`."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self._strains = Strains()

    def log_path(self, container: str) -> Path:
        return self._layout.log(storage.check_id(container))

    def reopen_log(self, container: str) -> None:
        self._mounts.call(conmon.reopen_log, self._layout.bundle(storage.check_id(container)))

    def read_file(self, container: str, path: str, limit: int) -> bytes:
        record = self._existing(container)
        root, inner = files.locate(str(self._layout.work(container) / "rootfs"), record.paths, path)
        return self._mounts.call(files.read, root, inner, limit)

    def export(
        self,
        container: str,
        directory: str,
        target: Path,
        *,
        keep_times: bool = False,
        without: tuple[str, ...] = (),
    ) -> ImageRef:
        if self.wait(container, 0) is None:
            raise EngineError(f"Container {container} still runs; it can be packed when it has ended.")
        return self._mounts.call(self._export, container, directory, target, keep_times, without)

    def attach(self, container: str) -> socket.socket:
        self._existing(container)
        try:
            return self._mounts.call(conmon.connect, self._layout.bundle(container))
        except OSError as error:
            raise EngineError(f"Container {container} does not run.") from error

    def resize(self, container: str, rows: int, columns: int) -> None:
        if self._existing(container).exit is None:
            self._mounts.call(conmon.resize, self._layout.bundle(container), rows, columns)

    def execute(self, container: str, spec: ExecSpec) -> execs.RuntimeExecution:
        self._running(container)
        layout, maker = self._layout, self._maker(container)
        place, group = layout.run / "exec", layout.cgroup_of(container)
        return self._mounts.call(
            lambda: execs.start(
                self._parts.sealed.of(maker.path),
                maker.state,
                layout.bundle(container),
                container,
                spec,
                place,
                group,
            )
        )

    def copy(self, container: str, spec: CopySpec) -> copies.Copy:
        record = self._running(container)
        return copies.start(
            record, spec, copies.doors_of(self._parts.cgroups.groups(self._layout.cgroup_of(container)))
        )

    def dial(self, container: str, port: int) -> socket.socket:
        return copies.dial(self._running(container), port)

    def usage(self, container: str) -> Usage | None:
        record = self._records.get(container)
        return None if record is None else self._mounts.call(stock.usage, self._parts, record)

    def strain(self, container: str) -> Strain | None:
        record = self._records.get(container)
        return None if record is None else self._mounts.call(look_at, self._parts, record)

    def strains(self) -> tuple[Strain, ...]:
        running = tuple(one for one in tuple(self._records.values()) if one.exit is None and one.started_at)
        return self._mounts.call(self._strains.look, self._parts, running)

    def _export(
        self, container: str, directory: str, target: Path, keep_times: bool, without: tuple[str, ...]
    ) -> ImageRef:
        stage = self._layout.run / "export" / container
        root = self._layout.work(container) / "rootfs"
        volumes = self._existing(container).volumes
        left_out = tuple(str(PurePosixPath("/", path).relative_to("/")) for path in without)
        try:
            inner = files.stage_tree(root, directory, stage)
            tree = packing.Tree(stage, inner, keep_times, left_out)
            # With a commit's times a tree is another one each time: to read it first would cost more than it saves.
            notes = self._parts.volumes.notes(volumes[0]) if volumes and not keep_times else None
            same = offering.unchanged(self._parts, self._existing(container), inner) if notes else None
            return packing.pack(self._parts.images, tree, target, notes, same)
        finally:
            files.remove_stage(stage)
