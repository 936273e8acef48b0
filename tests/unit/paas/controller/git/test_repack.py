"""Joining packs. In: a repository of many pushes.  Out: one pack with every object, deltas kept, that git accepts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from gitpacks import git, history, pack_of

from paas.controller.git.ingest import ingest
from paas.controller.git.limits import Limits
from paas.controller.git.objects import References
from paas.controller.git.packstore import open_store, pack_paths
from paas.controller.git.quarantine import open_quarantine
from paas.controller.git.repack import consolidate
from paas.controller.git.repositories import open_repository, pack_folder

pytestmark = pytest.mark.unit


def push_into(target: Path, pack: bytes) -> None:
    with open_quarantine(target) as quarantine, open_store(quarantine.folder, pack_folder(target)) as store:
        found = ingest(io.BytesIO(pack).read, quarantine.packs, Limits(), References(), store.get)
        assert found.pack is not None
        quarantine.adopt(found.pack)


def test_many_pushes_become_one_pack(tmp_path: Path) -> None:
    repo = history(tmp_path / "repo", commits=30)
    target = tmp_path / "app.git"
    open_repository(target).close()
    push_into(target, pack_of(repo, "--delta-base-offset", revisions="main~25"))
    for back in range(24, -1, -1):
        options = ("--thin", "--delta-base-offset") if back % 2 else ("--thin",)
        push_into(target, pack_of(repo, *options, revisions=f"main~{back}\n^main~{back + 1}"))
    assert len(pack_paths(pack_folder(target))) == 26
    before = sum(file.stat().st_size for file in pack_folder(target).iterdir())
    with open_quarantine(target) as quarantine:
        joined = consolidate(quarantine)
    assert [joined] == pack_paths(pack_folder(target))
    git(target, "update-ref", "refs/heads/main", git(repo, "rev-parse", "main").decode().strip())
    git(target, "fsck", "--strict", "--full")
    assert git(target, "rev-list", "--objects", "main") == git(repo, "rev-list", "--objects", "main")
    assert sum(file.stat().st_size for file in pack_folder(target).iterdir()) < before
    git(target, "index-pack", "-o", str(tmp_path / "git.idx"), str(joined))
    assert (tmp_path / "git.idx").read_bytes() == joined.with_suffix(".idx").read_bytes()


def test_one_pack_is_left_alone(tmp_path: Path) -> None:
    repo = history(tmp_path / "repo", commits=3)
    target = tmp_path / "app.git"
    open_repository(target).close()
    push_into(target, pack_of(repo))
    before = pack_paths(pack_folder(target))
    with open_quarantine(target) as quarantine:
        assert consolidate(quarantine) is None
    assert pack_paths(pack_folder(target)) == before


def test_every_object_reads_back(tmp_path: Path) -> None:
    repo = history(tmp_path / "repo", commits=20)
    target = tmp_path / "app.git"
    open_repository(target).close()
    push_into(target, pack_of(repo, "--delta-base-offset", "--depth=50"))
    with open_store(tmp_path, pack_folder(target)) as store:
        for _, sha in store.packs[0].entries():
            kind = git(repo, "cat-file", "-t", sha.hex()).decode().strip()
            found = store.get_bytes(sha)
            assert found == (store.kind(sha), git(repo, "cat-file", kind, sha.hex()))
