"""The source tar beside `git archive`'s. In: odd files.  Out: the same members, or a refusal that names the file."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from gitpacks import commit, git, new_repo

from paas.controller.git.export import Exported, commit_subject, write_source_tar
from paas.controller.git.limits import Limits
from paas.controller.git.packstore import open_store
from paas.controller.git.port import GitRefused

pytestmark = pytest.mark.unit


def export(repo: Path, target: Path, limits: Limits | None = None) -> Exported:
    git(repo, "repack", "-adq")
    head = bytes.fromhex(git(repo, "rev-parse", "HEAD").decode().strip())
    with open_store(target.parent, repo / ".git/objects/pack") as store:
        assert commit_subject(store, head) == "a change"
        return write_source_tar(store, head, target, limits or Limits())


def members(data: bytes) -> list[tuple[object, ...]]:
    """Return everything of a tar's members that a build could see."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            content = file.read() if file else b""
            found.append(
                (member.name, member.type, member.linkname, member.mtime, bool(member.mode & 0o100), content)
            )
    return found


def test_same_members_as_git_archive(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "repo")
    (repo / "link").symlink_to("a.txt")
    (repo / "far").symlink_to("x/" * 70 + "end")
    script = repo / "run.sh"
    script.write_bytes(b"#!/bin/sh\n")
    script.chmod(0o755)
    deep = "/".join(["folder-with-a-long-name"] * 9)
    (repo / os.fsdecode(b"latin-\xe9.txt")).write_bytes(b"x")
    commit(repo, {"a.txt": b"hello\n", f"{deep}/{'n' * 120}.txt": b"deep", f"{deep}/short": b"s", "empty": b"",
                  "col:on": b":", "back\\slash": b"\\", "big": os.urandom(5 << 20), "gr\u00fcn.txt": b"u"})  # fmt: skip
    found = export(repo, tmp_path / "s.tar")
    assert members((tmp_path / "s.tar").read_bytes()) == members(git(repo, "archive", "HEAD"))
    assert found.submodules == ()


def test_submodules_are_named(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "repo")
    commit(repo, {"a.txt": b"hello\n"})
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    git(repo, "commit", "-qm", "a change")
    assert export(repo, tmp_path / "s.tar").submodules == ("vendor/lib",)


def test_lfs_pointers_are_refused_by_name(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "repo")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
    commit(repo, {"assets/model.bin": pointer})
    with pytest.raises(GitRefused, match=r"assets/model\.bin is a Git LFS pointer"):
        export(repo, tmp_path / "s.tar")


def test_limits_are_named(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "repo")
    commit(repo, {f"f{n}": b"x" * 1000 for n in range(10)})
    with pytest.raises(GitRefused, match="more than 5 files"):
        export(repo, tmp_path / "a.tar", Limits(max_source_files=5))
    with pytest.raises(GitRefused, match="bigger than 4 KB"):
        export(repo, tmp_path / "b.tar", Limits(max_source_bytes=4096))
