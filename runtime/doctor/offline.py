"""The doctor while no agent runs.

In: the agent's settings.  Out: a `DoctorReport` by what is on disk, or None when an agent runs after all.

Containers outlive the agent, so those with a record are known; what an agent that was killed had ready beside them is
not, and the next agent would drop it just the same. The lock is held meanwhile: no agent starts into this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from runtime.agent.store import Store
from runtime.config import Settings
from runtime.container import host, process
from runtime.container.cgroup import detect
from runtime.container.layout import Layout
from runtime.container.namespace import MountNamespace
from runtime.container.owners import FIRST, WIDTH, Owners
from runtime.container.storage import Record, load_all
from runtime.doctor.doctor import examine
from runtime.doctor.place import Known, Place
from runtime.model import DoctorReport
from runtime.network import rules
from runtime.network.pool import encode_name


def examine_home(settings: Settings, *, repair: bool) -> DoctorReport | None:
    """Look at the host of a stopped agent. Raises EngineError when this host cannot be looked at."""
    layout = Layout(settings.home.absolute(), settings.tag)
    os.environ["PATH"] = host.search_path()
    with _agent_kept_out(settings.state) as stopped:
        if not stopped:
            return None
        mounts = MountNamespace(layout.home / "ns", layout.run)
        names = rules.names_of(settings.tag)
        try:
            joined = mounts.join()
            place = Place(
                layout=layout,
                runtime=shutil.which(settings.runtime) or settings.runtime,
                cgroups=detect(),
                names=names,
                subnet=settings.subnet,
                inside=mounts.call if joined else None,
            )
            return examine(place, lambda: _known(layout, names, settings), repair=repair)
        finally:
            mounts.close(remove=False)


@contextlib.contextmanager
def _agent_kept_out(state: Path) -> Iterator[bool]:
    """Hold the agent's lock; False when an agent holds it."""
    if not state.is_dir():
        yield True
        return
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _known(layout: Layout, names: rules.Names, settings: Settings) -> Known:
    records = load_all(layout)
    store = Store(settings.state)
    jobs = frozenset(record.spec.container.id for record in store.load_jobs())
    told = frozenset(spec.container.id for spec in store.load_wanted().instances)
    instances = frozenset(record.status.id for record in store.load_instances())
    here = [record for record in records if record.boot_id == process.boot_id() and record.slot >= 0]
    starts = Owners(layout.home / "owners.json").all()
    return Known(
        containers=frozenset(record.id for record in records),
        asked=told | instances | jobs,
        supervisors=tuple((record.id, record.conmon_pid) for record in records),
        slots=frozenset(record.slot for record in here),
        interfaces=frozenset(f"{names.veth}{encode_name(record.slot)}" for record in here),
        addresses=frozenset(record.address for record in here),
        members=() if settings.cni else tuple(_member(names, record, starts) for record in here),
        volumes=frozenset(key for record in records for key in record.volumes),
        data=frozenset(key.rpartition(":")[0] for record in records for key in record.data),
        images=frozenset(digest.removeprefix("sha256:") for record in records for digest in record.images),
        logs=told | instances | jobs,
        jobs=jobs,
        starts=tuple(starts.items()),
    )


def _member(names: rules.Names, record: Record, starts: dict[str, int]) -> rules.Member:
    owner = (starts[record.owner] - FIRST) // WIDTH + 1 if record.peers and record.owner in starts else 0
    return rules.Member(
        interface=f"{names.veth}{encode_name(record.slot)}", address=record.address, owner=owner
    )
