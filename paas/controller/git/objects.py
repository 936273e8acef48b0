"""Checks of commits, tags and trees as they arrive, and the ids they name.

In: the bytes of each object.  Out: `References`, the ids that must exist for the push to be complete; PackRefused when
an object is malformed or a tree holds a name that could leave or harm a checkout (section "fsck" of git-fsck(1)).
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable

from dulwich.errors import ObjectFormatException
from dulwich.objects import parse_tree

from paas.controller.git.port import GitRefused

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4
TYPE_NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
TYPE_NUMBERS = {name.encode(): number for number, name in TYPE_NAMES.items()}

_COMMIT = re.compile(rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)author [^\n]*\ncommitter ")
_TAG = re.compile(rb"object ([0-9a-f]{40})\ntype (commit|tree|blob|tag)\ntag [^\n]")
DIRECTORY, SYMLINK, SUBMODULE = 0o40000, 0o120000, 0o160000
FILES = frozenset((0o100644, 0o100755, 0o100664, SYMLINK))
_MODES = FILES | {DIRECTORY, SUBMODULE}
_DOT_GIT = re.compile(rb"(?:\.git|git~[0-9]+)[. ]*(?::.*)?", re.IGNORECASE | re.DOTALL)
_HFS_IGNORED = re.compile(rb"\xe2\x80[\x8c-\x8f\xaa-\xae]|\xe2\x81[\xaa-\xaf]|\xef\xbb\xbf")
_REMEMBERED_NAMES = 30_000


class PackRefused(GitRefused):
    """The pack is broken, incomplete, hostile or too big. The message names what is wrong."""


def name_fault(name: bytes) -> str:
    """Return what is wrong with a file name inside a tree, or '' (a NUL cannot get here)."""
    if name in (b"", b".", b".."):
        return "is empty or a directory reference"
    if b"/" in name:
        return "has a slash and could leave the checkout"
    if len(name) > 255:
        return "is longer than 255 bytes"
    plain = _HFS_IGNORED.sub(b"", name) if name[:1] == b"\xe2" or b"\xe2" in name or b"\xef" in name else name
    if _DOT_GIT.fullmatch(plain):
        return "would overwrite git's own folder in a checkout"
    return ""


class References:
    """The ids that an incoming pack has (20 raw bytes) and needs (40 hex digits), in sets per object type.

    `cut`: those commits of the pack whose parents are excused.
    """

    def __init__(self, shallow: frozenset[bytes] = frozenset()) -> None:
        """`shallow`: commits whose parents the pusher does not have; they are excused."""
        self.have: dict[int, set[bytes]] = {kind: set() for kind in TYPE_NAMES}
        self.need: dict[int, set[bytes]] = {kind: set() for kind in TYPE_NAMES}
        self.shallow = shallow
        self.cut: set[bytes] = set()
        self._good_names: set[bytes] = set()
        self._shapes: dict[tuple[tuple[bytes, ...], tuple[int, ...]], int] = {}
        self._shape_names = 0

    def add(self, kind: int, sha: bytes, data: bytes | None) -> None:
        """Note one object of the pack. `data` is needed for everything but blobs."""
        have = self.have[kind]
        if sha in have:
            raise PackRefused(f"the pack holds {TYPE_NAMES[kind]} {sha.hex()} twice")
        have.add(sha)
        if kind == TREE:
            self._add_tree(sha, data or b"")
        elif kind == COMMIT:
            self._add_commit(sha, data or b"")
        elif kind == TAG:
            self._add_tag(sha, data or b"")

    def _add_tree(self, sha: bytes, data: bytes) -> None:
        entries = tree_entries(sha, data)
        if not entries:
            return
        names, modes, ids = zip(*entries, strict=False)
        shape = (names, modes)
        kind = self._shapes.get(shape)
        if kind is None:
            kind = self._check_shape(sha, *shape)
        if kind:
            self.need[kind].update(ids)
        else:
            self.need[TREE].update([oid for _, mode, oid in entries if mode == DIRECTORY])
            self.need[BLOB].update([oid for _, mode, oid in entries if mode in FILES])

    def _check_shape(self, sha: bytes, names: tuple[bytes, ...], modes: tuple[int, ...]) -> int:
        """Check names, their order and modes. Returns what the entries are: BLOB, TREE, or 0 for a mixture.

        Most trees of a history differ from the one before in an id only: checked shapes are remembered.
        """
        if not _MODES.issuperset(modes):
            raise PackRefused(f"tree {sha.hex()} has an entry with a file mode that git does not have")
        if len(set(names)) != len(names):
            raise PackRefused(f"tree {sha.hex()} holds the same name twice")
        keys = [name + b"/" if mode == DIRECTORY else name for name, mode in zip(names, modes, strict=True)]
        if keys != sorted(keys):
            raise PackRefused(f"tree {sha.hex()} is not sorted")
        if not self._good_names.issuperset(names):
            self._check_names(sha, set(names) - self._good_names)
        kind = BLOB if FILES.issuperset(modes) else TREE if modes.count(DIRECTORY) == len(modes) else 0
        self._remember_shape(names, modes, kind)
        return kind

    def _remember_shape(self, names: tuple[bytes, ...], modes: tuple[int, ...], kind: int) -> None:
        self._shape_names += len(names)
        if self._shape_names > _REMEMBERED_NAMES:
            self._shapes.clear()
            self._shape_names = len(names)
        self._shapes[names, modes] = kind

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
        self.need[TREE].add(match[1])
        if sha in self.shallow:
            self.cut.add(sha)
        else:
            self.need[COMMIT].update([line[7:] for line in match[2].splitlines()])

    def _add_tag(self, sha: bytes, data: bytes) -> None:
        match = _TAG.match(data)
        if match is None:
            raise PackRefused(f"tag {sha.hex()} is malformed")
        self.need[TYPE_NUMBERS[match[2]]].add(match[1])

    def check_closed(self, type_in_store: Callable[[bytes], int | None]) -> None:
        """Raise PackRefused unless every needed id is in the pack or, with the same type, in the main store.

        Sound without a walk as long as the main store only ever holds objects whose own references are complete.
        """
        for kind, needed in self.need.items():
            have = self.have[kind]
            for sha in (raw for oid in needed if (raw := unhexlify(oid)) not in have):
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
    return [unhexlify(line[7:]) for line in match[2].splitlines()] if match else []


def tree_entries(sha: bytes, data: bytes) -> list[tuple[bytes, int, bytes]]:
    """Return name, mode and id (40 hex digits) of each entry of a tree."""
    try:
        entries = parse_tree(data, 20)
        return entries if isinstance(entries, list) else list(entries)
    except (ObjectFormatException, ValueError) as error:
        raise PackRefused(f"tree {sha.hex()} is malformed: {error}") from error
