"""Checks of commits, tags and trees as they arrive, and the ids they name.

In: the bytes of each object.  Out: `References`, the ids that must exist for the push to be complete; PackRefused when
an object is malformed or a tree holds a name that could leave or harm a checkout (section "fsck" of git-fsck(1)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from paas.controller.git.port import GitRefused

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4
TYPE_NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
TYPE_NUMBERS = {name.encode(): number for number, name in TYPE_NAMES.items()}

_COMMIT = re.compile(rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)author [^\n]*\ncommitter ")
_TAG = re.compile(rb"object ([0-9a-f]{40})\ntype (commit|tree|blob|tag)\ntag [^\n]")
_ENTRY = re.compile(rb"(0?40000|100644|100755|100664|120000|160000) ([^\0/]+)\0(.{20})", re.DOTALL)
_TREE_MODES = frozenset((b"40000", b"040000"))
_GITLINK = b"160000"
_DOT_GIT = re.compile(rb"(?:\.git|git~[0-9]+)[. ]*(?::.*)?", re.IGNORECASE | re.DOTALL)
_HFS_IGNORED = re.compile(rb"\xe2\x80[\x8c-\x8f\xaa-\xae]|\xe2\x81[\xaa-\xaf]|\xef\xbb\xbf")
_REMEMBERED_NAMES = 50_000


class PackRefused(GitRefused):
    """The pack is broken, incomplete, hostile or too big. The message names what is wrong."""


def name_fault(name: bytes) -> str:
    """Return what is wrong with a file name inside a tree, or '' (slash, NUL and empty cannot get here)."""
    if name in (b".", b".."):
        return "is a directory reference"
    if len(name) > 255:
        return "is longer than 255 bytes"
    plain = _HFS_IGNORED.sub(b"", name) if name[:1] == b"\xe2" or b"\xe2" in name or b"\xef" in name else name
    if _DOT_GIT.fullmatch(plain):
        return "would overwrite git's own folder in a checkout"
    return ""


class References:
    """The ids that an incoming pack has and needs. Each id is 20 raw bytes; sets are per object type."""

    def __init__(self, shallow: frozenset[bytes] = frozenset()) -> None:
        """`shallow`: commits whose parents the pusher does not have; they are excused."""
        self.have: dict[int, set[bytes]] = {kind: set() for kind in TYPE_NAMES}
        self.need: dict[int, set[bytes]] = {kind: set() for kind in TYPE_NAMES}
        self.shallow = shallow
        self.cut_parents: dict[bytes, list[bytes]] = {}
        self._good_names: set[bytes] = set()

    def add(self, kind: int, sha: bytes, data: bytes | None) -> None:
        """Note one object of the pack. `data` is needed for everything but blobs."""
        have = self.have[kind]
        if sha in have:
            raise PackRefused(f"the pack holds {TYPE_NAMES[kind]} {sha.hex()} twice")
        have.add(sha)
        if kind == BLOB:
            return
        if data is None:
            raise ValueError("only blobs may come without their data")
        if kind == TREE:
            self._add_tree(sha, data)
        elif kind == COMMIT:
            self._add_commit(sha, data)
        else:
            self._add_tag(sha, data)

    def _add_tree(self, sha: bytes, data: bytes) -> None:
        entries = _ENTRY.findall(data)
        if not entries:
            if data:
                raise _malformed_tree(sha, data)
            return
        modes, names, ids = zip(*entries, strict=True)
        unique = set(names)
        if len(b"".join(names)) + len(b"".join(modes)) + 22 * len(names) != len(data):
            raise _malformed_tree(sha, data)
        if len(unique) != len(names):
            raise PackRefused(f"tree {sha.hex()} holds the same name twice")
        self._check_names(sha, unique - self._good_names)
        if _TREE_MODES.isdisjoint(modes):
            self._add_files(sha, modes, names, ids)
        else:
            self._add_mixed(sha, entries)

    def _add_files(
        self, sha: bytes, modes: tuple[bytes, ...], names: tuple[bytes, ...], ids: Iterable[bytes]
    ) -> None:
        """A tree without subtrees: plain byte order."""
        if list(names) != sorted(names):
            raise PackRefused(f"tree {sha.hex()} is not sorted")
        if _GITLINK in modes:
            ids = [oid for mode, oid in zip(modes, ids, strict=True) if mode != _GITLINK]
        self.need[BLOB].update(ids)

    def _add_mixed(self, sha: bytes, entries: list[tuple[bytes, bytes, bytes]]) -> None:
        """A tree with subtrees: they sort as if their name ended in a slash."""
        keys = [name + b"/" if mode in _TREE_MODES else name for mode, name, _ in entries]
        if keys != sorted(keys):
            raise PackRefused(f"tree {sha.hex()} is not sorted")
        self.need[TREE].update([oid for mode, _, oid in entries if mode in _TREE_MODES])
        self.need[BLOB].update(
            [oid for mode, _, oid in entries if mode not in _TREE_MODES and mode != _GITLINK]
        )

    def _check_names(self, sha: bytes, names: set[bytes]) -> None:
        for name in names:
            fault = name_fault(name)
            if fault:
                shown = name.decode(errors="backslashreplace")
                raise PackRefused(f"tree {sha.hex()}: the name {shown!r} {fault}; remove it from the history")
        if len(self._good_names) > _REMEMBERED_NAMES:
            self._good_names.clear()
        self._good_names |= names

    def _add_commit(self, sha: bytes, data: bytes) -> None:
        match = _COMMIT.match(data)
        if match is None:
            raise PackRefused(f"commit {sha.hex()} is malformed")
        self.need[TREE].add(bytes.fromhex(match[1].decode()))
        parents = commit_parents(data)
        if sha in self.shallow:
            self.cut_parents[sha] = parents
        else:
            self.need[COMMIT].update(parents)

    def _add_tag(self, sha: bytes, data: bytes) -> None:
        match = _TAG.match(data)
        if match is None:
            raise PackRefused(f"tag {sha.hex()} is malformed")
        self.need[TYPE_NUMBERS[match[2]]].add(bytes.fromhex(match[1].decode()))

    def check_closed(self, type_in_store: Callable[[bytes], int | None]) -> None:
        """Raise PackRefused unless every needed id is in the pack or, with the same type, in the main store.

        Sound without a walk as long as the main store only ever holds objects whose own references are complete.
        """
        for kind, needed in self.need.items():
            for sha in needed - self.have[kind]:
                found = type_in_store(sha)
                if found is None:
                    raise PackRefused(f"the pack is incomplete: {TYPE_NAMES[kind]} {sha.hex()} is missing")
                if found != kind:
                    raise PackRefused(
                        f"{sha.hex()} is a {TYPE_NAMES[found]}, but is used as a {TYPE_NAMES[kind]}"
                    )

    def kind_of(self, sha: bytes) -> int | None:
        """Return the type of an object of the pack, or None."""
        return next((kind for kind, have in self.have.items() if sha in have), None)


def commit_parents(data: bytes) -> list[bytes]:
    """Return the ids of a commit's parents."""
    match = _COMMIT.match(data)
    return [bytes.fromhex(line[7:].decode()) for line in match[2].splitlines()] if match else []


def tree_entries(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Return mode, name and id of each entry of a tree that was checked on arrival."""
    return _ENTRY.findall(data)


def _malformed_tree(sha: bytes, data: bytes) -> PackRefused:
    """Say what the entry pattern did not take, as well as can be told."""
    if re.search(rb"(?:^|.{20})[0-7]+ [^\0]*/[^\0]*\0", data, re.DOTALL):
        return PackRefused(
            f"tree {sha.hex()} holds a name with a slash (a path that could leave the checkout)"
        )
    return PackRefused(f"tree {sha.hex()} is malformed: an unknown file mode, an empty name or a cut entry")
