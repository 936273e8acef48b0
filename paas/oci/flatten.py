"""Layers of an image made into one squashfs, without unpacking anything.

In: layers, the lowest first.  Out: a squashfs file, what the platform must know of the tree, and a count of what was
left out. The same layers give the same bytes.

A merged tar goes straight into mksquashfs: whatever paths, links and owners an image has, none of its files is ever
made on this machine.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from paas.oci.errors import ImageError
from paas.oci.layers import Layer, members, opened
from paas.oci.tree import Limits, Node, Tree

Edit = Callable[[bytes], bytes]
READ_MAX = 16 * 1024**2  # bytes of a file that the platform reads
TEXTS = {  # what the platform reads of a tree, by where it is known
    "passwd": ("etc/passwd",),
    "group": ("etc/group",),
    "os-release": ("etc/os-release", "usr/lib/os-release"),
    "dpkg": ("var/lib/dpkg/status",),
}


@dataclass(frozen=True)
class Flattened:
    """A squashfs `file` with its `digest` and `size`. `texts` are the files of TEXTS that the tree has."""

    file: Path
    digest: str
    size: int
    files: int
    texts: Mapping[str, str]
    shell: bool
    python: str
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class Wish:
    """What is to be done to a tree before it is packed.

    `edits` change the text of files (absent ones are empty), `directories` are made: path, mode, owner.
    `above`: only what the layers from this number on have; the others are elsewhere already.
    """

    edits: Mapping[str, Edit] = field(default_factory=dict)
    directories: Sequence[tuple[str, int, int]] = ()
    above: int = 0


def merge(layers: Sequence[Layer], limits: Limits) -> Tree:
    """Read all layers once, and return the tree they make. Raises ImageError."""
    tree = Tree(limits)
    for layer in layers:
        with opened(layer) as tar:
            tree.apply(member for _, member in members(tar))
    tree.check()
    return tree


def flatten(
    layers: Sequence[Layer], target: Path, wish: Wish | None = None, limits: Limits | None = None
) -> Flattened:
    """Make `target`. Raises ImageError; then there is no file."""
    wish = wish or Wish()
    tree = merge(layers, limits or Limits())
    for path, mode, owner in wish.directories:
        tree.ensure_directory(path, mode, owner)
    places = {name: _place(tree, paths) for name, paths in TEXTS.items()}
    shell, python = tree.lookup("bin/sh") is not None, python_version(tree)
    packed = tree.only_layers_from(wish.above) if wish.above else tree
    edits = {tree.resolve(path) or path: edit for path, edit in wish.edits.items()}
    if wish.above:  # what is elsewhere already has been changed there
        edits = {path: edit for path, edit in edits.items() if path in packed.nodes}
    writer = _Writer(packed, edits, {place for place in places.values() if place})
    try:
        _pack(writer, layers, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    texts = {name: writer.read.get(place, b"").decode(errors="replace") for name, place in places.items()}
    with target.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return Flattened(
        target, digest, target.stat().st_size, len(packed.nodes), texts, shell, python, dict(tree.dropped)
    )


def python_version(tree: Tree) -> str:
    """Return the `3.11` of a tree whose python3 is a link to python3.11, '' for any other."""
    found = tree.resolve("usr/bin/python3") or tree.resolve("usr/local/bin/python3") or ""
    name = found.rpartition("/")[2]
    return name.removeprefix("python") if found in tree.nodes and name.startswith("python3.") else ""


def _place(tree: Tree, paths: Iterable[str]) -> str:
    for path in paths:
        found = tree.resolve(path)
        node = tree.nodes.get(found) if found else None
        if found and node is not None and node.kind == "f":
            return found
    return ""


def _pack(writer: _Writer, layers: Sequence[Layer], target: Path) -> None:
    newest = max((node.mtime for node in writer.tree.nodes.values()), default=0)
    # The root has no entry of its own in this mode: SOURCE_DATE_EPOCH keeps the present time out of it.
    environ = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "SOURCE_DATE_EPOCH": str(newest),
        "LC_ALL": "C.UTF-8",
    }
    command = [
        *("mksquashfs", "-", str(target), "-tar", "-noappend", "-comp", "zstd", "-Xcompression-level", "3"),
        *("-no-xattrs", "-no-exports", "-quiet", "-no-progress"),
        *("-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"),
    ]
    with tempfile.TemporaryFile() as said:
        try:
            tool = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environ)
        except FileNotFoundError as error:
            raise ImageError("mksquashfs is missing on the platform: install squashfs-tools.") from error
        with tool:
            assert tool.stdin is not None
            broken = None
            try:
                writer.write(layers, cast(BinaryIO, tool.stdin))
                tool.stdin.close()
            except BrokenPipeError as error:
                broken = error
            except BaseException:
                tool.kill()
                raise
        if broken or tool.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise ImageError(
                f"The image could not be packed: {words[-1] if words else 'mksquashfs gave no reason'}"
            )


class _Writer:
    """Writes the merged tar: directories and links first, then each layer's files that are left."""

    def __init__(self, tree: Tree, edits: Mapping[str, Edit], wanted: set[str]) -> None:
        self.tree = tree
        self.read: dict[str, bytes] = {}
        self._edits = dict(edits)
        self._wanted = wanted
        self._paths: dict[tuple[int, int], list[str]] = {}
        for path, node in tree.walk():
            if node.kind == "f":
                self._paths.setdefault(node.source, []).append(path)

    def write(self, layers: Sequence[Layer], out: BinaryIO) -> None:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=256 * 1024) as target:
            for path, node in self.tree.walk():
                if node.kind != "f":
                    target.addfile(_header(path, node))
            for number, layer in enumerate(layers):
                if any(source[0] == number for source in self._paths):
                    self._copy_layer(number, layer, target)
            for path, edit in self._edits.items():
                self._add_text(path, edit(b""), Node("f", 0o644), target)

    def _copy_layer(self, number: int, layer: Layer, target: tarfile.TarFile) -> None:
        with opened(layer) as tar:
            for place, (archive, member) in enumerate(members(tar)):
                paths = self._paths.get((number, place))
                if paths:
                    content = archive.extractfile(member)
                    assert content is not None
                    self._copy_file(paths, cast(BinaryIO, content), target)

    def _copy_file(self, paths: list[str], content: BinaryIO, target: tarfile.TarFile) -> None:
        first, *links = paths
        node = self.tree.nodes[first]
        special = next((path for path in paths if path in self._wanted or path in self._edits), None)
        if special and node.size <= READ_MAX:
            data = content.read()
            self.read |= dict.fromkeys(paths, data)
            edit = self._edits.pop(special, None)
            self._add_text(first, edit(data) if edit else data, node, target)
        else:
            target.addfile(_header(first, node), content)
        for path in links:
            header = _header(path, node)
            header.type, header.linkname, header.size = tarfile.LNKTYPE, first, 0
            target.addfile(header)

    def _add_text(self, path: str, data: bytes, node: Node, target: tarfile.TarFile) -> None:
        header = _header(path, node)
        header.size = len(data)
        target.addfile(header, io.BytesIO(data))


def _header(path: str, node: Node) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path)
    header.type = {"d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "f": tarfile.REGTYPE}[node.kind]
    header.mode, header.uid, header.gid, header.mtime = node.mode, node.uid, node.gid, node.mtime
    header.size, header.linkname = node.size, node.target
    return header
