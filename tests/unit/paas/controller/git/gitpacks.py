"""Packs for tests, from real git. In: files, commands.  Out: repositories and pack bytes."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import zlib
from pathlib import Path

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


def git(repo: Path, *args: str, stdin: bytes = b"") -> bytes:
    """Run git and return its output; raises when it fails."""
    done = subprocess.run(["git", "-C", str(repo), *args], input=stdin, capture_output=True, env=ENV)
    if done.returncode:
        raise AssertionError(done.stderr.decode())
    return done.stdout


def new_repo(path: Path) -> Path:
    """Make a repository with a working tree on main."""
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    return path


def commit(repo: Path, files: dict[str, bytes]) -> str:
    """Commit files; returns the commit's id."""
    for name, data in files.items():
        file = repo / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "a change")
    return git(repo, "rev-parse", "HEAD").decode().strip()


def history(path: Path, commits: int = 40) -> Path:
    """A repository with deltas of blobs and trees, nested folders, a symlink and an annotated tag."""
    repo = new_repo(path)
    lines = {f"src/d{n % 3}/f{n}.txt": [f"line {row} of {n}" for row in range(60)] for n in range(12)}
    for number in range(commits):
        changed = lines if number == 0 else {f"src/d{number % 3}/f{number % 12}.txt": None}
        for name in changed:
            lines[name][number % 60] = f"changed in {number}"
        commit(repo, {name: "\n".join(lines[name]).encode() for name in changed})
    (repo / "link").symlink_to("src/d0/f0.txt")
    commit(repo, {"run.sh": b"#!/bin/sh\n"})
    git(repo, "tag", "-a", "v1", "-m", "first")
    return repo


def pack_of(repo: Path, *options: str, revisions: str = "") -> bytes:
    """Return the pack that a push of `revisions` (lines; default: all refs) sends."""
    revisions = revisions or git(repo, "for-each-ref", "--format=%(objectname)").decode()
    return git(repo, "pack-objects", "--revs", "--stdout", "-q", *options, stdin=revisions.encode() + b"\n")


def object_id(kind: bytes, data: bytes) -> bytes:
    """Return an object's id as 20 bytes."""
    return hashlib.sha1(kind + b" %d\0" % len(data) + data).digest()


KINDS = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}


def entry(kind: int, data: bytes, size: int | None = None, base: bytes = b"") -> bytes:
    """Return one pack entry; `size` may lie about the data's length."""
    length = len(data) if size is None else size
    byte, length = kind << 4 | length & 15, length >> 4
    head = bytearray()
    while length:
        head.append(byte | 0x80)
        byte, length = length & 0x7F, length >> 7
    head.append(byte)
    return bytes(head) + base + zlib.compress(data, 9)


def build_pack(*entries: bytes) -> bytes:
    """Return a pack of hand-made entries."""
    body = b"PACK" + struct.pack(">LL", 2, len(entries)) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def tree_of(*entries: tuple[bytes, bytes, bytes]) -> bytes:
    """Return a tree's data from mode, name and id."""
    return b"".join(mode + b" " + name + b"\0" + sha for mode, name, sha in entries)


def commit_of(tree: bytes, *parents: bytes) -> bytes:
    """Return a commit's data."""
    lines = [b"tree " + tree.hex().encode(), *(b"parent " + parent.hex().encode() for parent in parents)]
    return b"\n".join([*lines, b"author A <a@b> 1 +0000", b"committer A <a@b> 1 +0000", b"", b"x"])
