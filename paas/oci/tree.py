"""The one file tree that the layers of an image make together.

In: the entries of each layer's tar, the lowest first.  Out: a `Tree` of what is left, or a refusal. Pure: nothing is
unpacked, so no path of an image is ever a path of this machine.
Rules: OCI image spec layer.md (whiteouts, opaque directories); links in parent paths are followed inside the tree,
as containerd does.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from paas.oci.accounts import ID_MAX
from paas.oci.errors import ImageError

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
REAL_DIRECTORIES = (
    "dev",
    "proc",
    "sys",
    "etc",
)  # crun follows a symlinked /dev onto the host (CVE-2026-47766)
NOBODY = 65534
_LINKS_MAX = 40  # as the kernel's
_NAME_MAX, _PATH_MAX = 255, 4096  # bytes


@dataclass(frozen=True)
class Limits:
    """What an image may be. `bytes` is its content unpacked."""

    layers: int = 128
    entries: int = 400_000
    bytes: int = 10 * 1024**3


@dataclass(slots=True)
class Node:
    """A file, directory or link. `source` is (layer, number of the tar entry there) of a file's content."""

    kind: str  # "d", "f", "l"
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    target: str = ""
    source: tuple[int, int] = (-1, -1)
    layer: int = -1


@dataclass
class Tree:
    """Paths without a leading slash. `dropped` counts what is left out, by kind."""

    limits: Limits = field(default_factory=Limits)
    nodes: dict[str, Node] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=lambda: {"": set()})
    dropped: dict[str, int] = field(default_factory=dict)
    size: int = 0  # of all files read, those that upper layers cover too
    entries: int = 0
    layer: int = -1

    def apply(self, members: Iterable[tarfile.TarInfo]) -> None:
        """Lay one more layer over what is there. Raises ImageError."""
        self.layer += 1
        if self.layer >= self.limits.layers:
            raise ImageError(f"The image has more than {self.limits.layers} layers; squash it.")
        added: list[tuple[int, str, tarfile.TarInfo]] = []
        for number, member in enumerate(members):
            self._count(member)
            path = clean(member.name)
            head, _, name = path.rpartition("/")
            if name.startswith(WHITEOUT):
                self._hide(self._parents(head, make=False), name)
            elif path:
                added.append((number, path, member))
        for number, path, member in added:
            self._add(number, path, member)

    def _count(self, member: tarfile.TarInfo) -> None:
        self.entries += 1
        self.size += member.size if member.isreg() else 0
        if self.entries > self.limits.entries:
            raise ImageError(f"The image has more than {self.limits.entries} files; leave some out.")
        if self.size > self.limits.bytes:
            raise ImageError(
                f"The image has more than {self.limits.bytes // 1024**2} MiB of files; leave some out."
            )

    def _hide(self, parent: str | None, name: str) -> None:
        """Remove what lower layers have: one name, or all in a directory. Other `.wh..wh.` marks are aufs' own."""
        if parent is None:
            return
        if name == OPAQUE:
            for child in tuple(self.children.get(parent, ())):
                self._remove(join(parent, child))
        elif not name.startswith(f"{WHITEOUT}{WHITEOUT}"):
            self._remove(join(parent, name.removeprefix(WHITEOUT)))

    def _add(self, number: int, path: str, member: tarfile.TarInfo) -> None:
        head, _, name = path.rpartition("/")
        parent = self._parents(head, make=True)
        assert parent is not None
        path = join(parent, name)
        if member.islnk():
            self._put(path, self._linked(path, member))
        elif member.isdir():
            self._put_directory(path, member)
        elif member.issym():
            node = self._node("l", member)
            node.target, node.mode = member.linkname, 0o777
            self._put(path, node)
        elif member.isreg():
            node = self._node("f", member)
            node.size, node.source = member.size, (self.layer, number)
            self._put(path, node)
        else:
            self._drop("devices and pipes")

    def _node(self, kind: str, member: tarfile.TarInfo) -> Node:
        mode = member.mode & 0o7777
        if mode & 0o6000 and kind == "f":
            self._drop("set-id bits")
        if not (0 <= member.uid <= ID_MAX and 0 <= member.gid <= ID_MAX):
            self._drop(f"owners above {ID_MAX}")
        return Node(
            kind, mode & 0o1777, _id(member.uid), _id(member.gid), _time(member.mtime), layer=self.layer
        )

    def _linked(self, path: str, member: tarfile.TarInfo) -> Node:
        target = clean(member.linkname)
        head, _, name = target.rpartition("/")
        parent = self._parents(head, make=False)
        node = self.nodes.get(join(parent, name)) if parent is not None else None
        if node is None or node.kind == "d":
            raise ImageError(
                f"The hard link {path!r} of the image points to {target!r}, which is no file in it."
            )
        return node

    def _put_directory(self, path: str, member: tarfile.TarInfo) -> None:
        node, before = self._node("d", member), self.nodes.get(path)
        if before is not None and before.kind == "d":
            self.nodes[path] = node
        else:
            self._put(path, node)

    def _put(self, path: str, node: Node) -> None:
        self._remove(path)
        head, _, name = path.rpartition("/")
        self.nodes[path] = node
        self.children[head].add(name)
        if node.kind == "d":
            self.children[path] = set()

    def _remove(self, path: str) -> None:
        if path not in self.nodes:
            return
        waiting = [path]
        while waiting:
            one = waiting.pop()
            waiting += [join(one, child) for child in self.children.pop(one, ())]
            del self.nodes[one]
        head, _, name = path.rpartition("/")
        self.children[head].discard(name)

    def _parents(self, path: str, *, make: bool) -> str | None:
        """Return the directory that `path` leads to, links followed; what is missing is made, or gives None."""
        here, rest, hops = "", [part for part in path.split("/") if part], 0
        while rest:
            part = rest.pop(0)
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            node = self.nodes.get(join(here, part))
            if node is not None and node.kind == "l":
                hops += 1
                if hops > _LINKS_MAX:
                    raise ImageError(f"The symbolic links in {path!r} of the image go in circles.")
                here = "" if node.target.startswith("/") else here
                rest = [step for step in node.target.split("/") if step not in ("", ".")] + rest
                continue
            if node is None or node.kind != "d":
                if not make:
                    return None
                self._put(join(here, part), Node("d", layer=self.layer))
            here = join(here, part)
        return here

    def _drop(self, what: str) -> None:
        self.dropped[what] = self.dropped.get(what, 0) + 1

    # --- the finished tree ----------------------------------------------------------------------------------

    def lookup(self, path: str) -> Node | None:
        """Return what a path leads to, links followed; None when it leads nowhere."""
        found = self.resolve(path)
        return None if found is None else self.nodes.get(found)

    def resolve(self, path: str) -> str | None:
        """Return the path itself behind links, '' for the root."""
        for _ in range(_LINKS_MAX):
            head, _, name = clean(path).rpartition("/")
            parent = self._parents(head, make=False)
            if parent is None:
                return None
            whole = join(parent, name)
            node = self.nodes.get(whole)
            if node is None or node.kind != "l":
                return whole
            path = node.target if node.target.startswith("/") else join(parent, node.target)
            path = "/".join(_dotless(path))
        return None

    def ensure_directory(self, path: str, mode: int = 0o755, uid: int = 0) -> None:
        """Make a directory, and those above it, unless it is there already."""
        found = self.lookup(path)
        if clean(path) and (found is None or found.kind != "d"):
            made = self.nodes[self._parents(clean(path), make=True) or ""]
            made.mode, made.uid, made.gid = mode, uid, uid

    def check(self) -> None:
        """Raise ImageError for a tree that no container may have as its root."""
        for name in REAL_DIRECTORIES:
            node = self.nodes.get(name)
            if node is not None and node.kind != "d":
                what = f"a symbolic link to {node.target!r}" if node.kind == "l" else "a file"
                raise ImageError(
                    f"/{name} of the image is {what}; it must be a directory, as what the platform mounts there "
                    "would land elsewhere. Build the image anew with a real directory.",
                    id="image_unsafe",
                )

    def only_layers_from(self, first: int) -> Tree:
        """Return what the layers from number `first` on have added or changed, with the directories above it."""
        kept = Tree(self.limits)
        for path in sorted(path for path, node in self.nodes.items() if node.layer >= first):
            steps = path.split("/")
            for depth in range(1, len(steps) + 1):
                above = "/".join(steps[:depth])
                if above not in kept.nodes:
                    kept._put(above, self.nodes[above])
        return kept

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield paths and nodes, sorted: a directory before what is in it."""
        yield from sorted(self.nodes.items())


def clean(name: str) -> str:
    """Return a tar entry's path without leading `./` and `/`. Raises ImageError for one that leaves the tree."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise ImageError(f"The image holds the path {name[:200]!r}, which leaves it.", id="image_unsafe")
    path = "/".join(parts)
    encoded = path.encode(errors="surrogateescape")
    if len(encoded) > _PATH_MAX or any(len(part) > _NAME_MAX for part in encoded.split(b"/")):
        raise ImageError(f"The image holds a path of {len(encoded)} bytes, which no file system takes.")
    return path


def join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _dotless(path: str) -> list[str]:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _id(number: int) -> int:
    return number if 0 <= number <= ID_MAX else NOBODY


def _time(seconds: float) -> int:
    return min(max(int(seconds), 0), 2**32 - 1)
