"""Where everything of one platform is on a host.

In: the agent's data directory and the platform's tag.  Out: paths; nothing is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SHIMS = "_shims"


@dataclass(frozen=True)
class Layout:
    """`home` is on disk. `run` is a tmpfs in the private mount namespace, world-traversable on its way from /,
    because a container's root, a stranger to the host, must reach its file systems."""

    home: Path
    tag: str

    @cached_property
    def run(self) -> Path:
        return Path(f"/run/paas-{self.tag}")

    @cached_property
    def cgroup(self) -> str:
        return f"/paas-{self.tag}"

    @cached_property
    def bundles(self) -> Path:
        """What belongs to a run of a container: in memory, gone at a reboot. Seen in the mount namespace only."""
        return self.run / "b"

    @cached_property
    def records(self) -> Path:
        """A file per container, from before its start until after its removal, over a reboot too. A folder there is
        the bundle, with the record, of one that an earlier version made."""
        return self.home / "c"

    @cached_property
    def late_hooks(self) -> Path:
        """A folder for each container that has hooks of the operator which the agent itself runs."""
        return self.home / "hooks"

    @cached_property
    def state(self) -> Path:
        """What the OCI runtime knows of containers: in memory, since after a reboot none of them is there."""
        return self.run / "oci"

    @cached_property
    def old_state(self) -> Path:
        """The same of containers that an earlier version made, for as long as they run."""
        return self.home / "oci"

    def state_of(self, name: str) -> Path:
        """The same of a runtime that is not the default one."""
        return self.run / f"oci-{name}"

    def states(self) -> tuple[Path, ...]:
        """Return the folders in which OCI runtimes keep their containers: the default's, and those of others. Those in
        memory are seen in the mount namespace only."""
        folders = (path for place in (self.run, self.home) for path in place.glob("oci-*"))
        return tuple(path for path in (self.state, self.old_state, *sorted(folders)) if path.is_dir())

    @cached_property
    def cni(self) -> Path:
        return self.home / "cni"

    @cached_property
    def cni_prefix(self) -> str:
        """What the ids of our containers begin with on a network that others use too."""
        return f"paas-{self.tag}."

    @cached_property
    def exits(self) -> Path:
        return self.home / "exits"

    @cached_property
    def logs(self) -> Path:
        return self.home / "logs"

    @cached_property
    def scratch(self) -> Path:
        return self.home / "scratch"

    @cached_property
    def copies(self) -> Path:
        """Unpacked images, where the kernel cannot idmap packed ones."""
        return self.home / "copies"

    @cached_property
    def data(self) -> Path:
        """First-class volumes; build caches are in `volumes`."""
        return self.home / "data"

    @cached_property
    def works(self) -> Path:
        return self.run / "c"

    def bundle(self, container: str) -> Path:
        old = self.records / container
        return old if old.is_dir() else self.bundles / container

    def record(self, container: str) -> Path:
        place = self.records / container
        return place / "record.json" if place.is_dir() else place

    def late_hooks_of(self, container: str) -> Path:
        old = self.records / container
        return old if old.is_dir() else self.late_hooks / container

    def work(self, container: str) -> Path:
        return self.works / container

    def log(self, container: str) -> Path:
        return self.logs / f"{container}.log"

    def cgroup_of(self, container: str) -> str:
        return f"{self.cgroup}/{container}"

    @cached_property
    def shims(self) -> str:
        """The control group of all conmons; no container's id begins with an underscore."""
        return f"{self.cgroup}/{SHIMS}"

    def directories(self) -> tuple[Path, ...]:
        """Return the directories on disk that must exist."""
        home = self.home
        return (
            self.records,
            self.late_hooks,
            self.exits,
            self.logs,
            self.scratch,
            self.copies,
            home / "images",
            home / "volumes",
            self.data,
        )
