"""Packing a tree that may be packed already: what an app's last builds made is found again by its content.

In: a staged tree, the app's notes of what it packed.  Out: its image, in the store and at the file that was asked for.
A note names an image; the image is hashed before it is believed, and where either is missing the tree is packed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from runtime.images import fingerprint, squashfs
from runtime.images.store import Images, digest_of
from runtime.model import ImageRef, Struct, decode, encode

NOTES_MAX = 18  # two builds of eight dependencies and an app
NOTES_BYTES = 64 * 1024
READING_SECONDS = 600.0


class Note(Struct):
    """`fingerprint` is of the tree and of how it was packed; `path` is where the tree was."""

    fingerprint: str
    digest: str
    size: int
    path: str = ""

    @property
    def ref(self) -> ImageRef:
        return ImageRef(digest=self.digest, size=self.size)


class Notes(Struct):
    """The newest last."""

    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Tree:
    """What to pack: `stage` holds nothing but `inner`, its path in the image; `without` are paths below `stage`."""

    stage: Path
    inner: str
    keep_times: bool = False
    without: tuple[str, ...] = ()


def pack(
    images: Images, tree: Tree, target: Path, notes: Path | None = None, same: ImageRef | None = None
) -> ImageRef:
    """Write the image of `tree` to `target` and into the store. Raises EngineError.

    `same` is the noted image that the tree is known to be, unread.
    """
    if same and notes and _again(images, read_notes(notes), same, tree, target, notes):
        return same
    key = fingerprint_of(tree) if notes else ""
    known = read_notes(notes) if notes and key else Notes()
    again = _taken(images, known, key, target)
    if again is None:
        squashfs.pack(tree.stage, target, keep_times=tree.keep_times, without=tree.without)
    ref = again if again and not images.missing((again,)) else images.keep(target)
    if notes and key:
        write_notes(
            notes, noted(known, Note(fingerprint=key, digest=ref.digest, size=ref.size, path=tree.inner))
        )
    return ref


def latest(known: Notes, below: str) -> tuple[Note, ...]:
    """Return the newest note of each folder that lies in `below` itself."""
    newest = {note.path: note for note in known.notes if str(PurePosixPath(note.path).parent) == below}
    return tuple(newest.values())


def fingerprint_of(tree: Tree) -> str:
    """Read the tree in a process of its own; '' when that fails, which packing will put into words."""
    place = tree.stage / tree.inner
    without = [os.path.relpath(tree.stage / path, place) for path in tree.without]
    times = "times" if tree.keep_times else "no-times"
    argv = [sys.executable, "-I", "-S", fingerprint.__file__, str(place), times, *without]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=READING_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    how = "\0".join((tree.inner, *squashfs.arguments(Path(), Path(), keep_times=tree.keep_times)))
    return fingerprint.of_bytes(how.encode(), done.stdout.encode()) if done.returncode == 0 else ""


def noted(known: Notes, note: Note) -> Notes:
    """Add a note, or make it the newest; the oldest give way."""
    others = tuple(one for one in known.notes if one.fingerprint != note.fingerprint)
    return Notes(notes=(*others, note)[-NOTES_MAX:])


def read_notes(file: Path) -> Notes:
    """Return the notes; none when there are none, or none that can be read."""
    try:
        with file.open("rb") as stream:
            return decode(stream.read(NOTES_BYTES), Notes)
    except (OSError, ValueError, msgspec.MsgspecError):
        return Notes()


def write_notes(file: Path, notes: Notes) -> None:
    """Replace the notes, whole or not at all. Without room for them the next build packs again."""
    draft = file.with_name(f"{file.name}.half")
    with contextlib.suppress(OSError):
        draft.write_bytes(encode(notes))
        draft.replace(file)


def _taken(images: Images, known: Notes, key: str, target: Path) -> ImageRef | None:
    """Put the image that is noted for `key` at `target`; None when there is none that is whole."""
    note = next((one for one in known.notes if key and one.fingerprint == key), None)
    if note is None:
        return None
    file = images.path(note.ref)
    if not _copied(file, target):
        return None
    if digest_of(target)[0] == note.digest:
        return note.ref
    target.unlink()
    file.unlink(missing_ok=True)  # damaged: what is packed now takes its place
    return None


def _again(images: Images, known: Notes, same: ImageRef, tree: Tree, target: Path, notes: Path) -> bool:
    """Take an image whose digest was looked at before the tree was made of it; its note becomes the newest."""
    note = next((one for one in known.notes if (one.ref, one.path) == (same, tree.inner)), None)
    if note is None or not _copied(images.path(same), target):
        return False
    write_notes(notes, noted(known, note))
    return True


def _copied(file: Path, target: Path) -> bool:
    """Put a file of the store at `target` as well; False when it is not there."""
    try:
        os.utime(file)  # used just now
        try:
            os.link(file, target)
        except OSError:  # another file system
            shutil.copyfile(file, target)
    except OSError:
        return False
    return True
