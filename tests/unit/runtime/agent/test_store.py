"""Files that survive a crash: whole, private, and never in the way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.agent.job import new_record
from runtime.agent.store import Store
from runtime.model import ContainerSpec, InstanceSpec, JobSpec, Rootfs, WantedState

pytestmark = pytest.mark.unit
SPEC = ContainerSpec(
    id="j1", owner="a", name="run.1", rootfs=Rootfs(host=True), argv=("x",), env={"KEY": "s3cret"}
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "agent")
    store.open()
    return store


def test_what_is_saved_is_loaded(store: Store) -> None:
    wanted = WantedState(generation=3, instances=(InstanceSpec(container=SPEC),))
    store.save_wanted(wanted)
    record = new_record(JobSpec(container=SPEC))
    store.save_job(record, sync=True)
    again = Store(store.root)
    assert (again.load_wanted(), again.load_jobs()) == (wanted, (record,))
    again.forget_job("j1")
    assert again.load_jobs() == ()


def test_a_new_host_wants_nothing(store: Store) -> None:
    assert store.load_wanted() == WantedState(generation=0)
    assert store.load_instances() == ()


def test_files_with_secrets_are_private(store: Store) -> None:
    store.save_wanted(WantedState(generation=1, instances=(InstanceSpec(container=SPEC),)))
    assert stat.S_IMODE((store.root / "wanted.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


def test_a_damaged_file_is_set_aside(store: Store) -> None:
    (store.root / "wanted.json").write_bytes(b"\x00\x00")
    assert store.load_wanted().generation == 0
    assert (store.root / "wanted.json.bad").exists()


def test_half_made_downloads_of_an_earlier_life_go(store: Store) -> None:
    (store.temporary / "image-1").write_bytes(b"x")
    store.open()
    assert list(store.temporary.iterdir()) == []
