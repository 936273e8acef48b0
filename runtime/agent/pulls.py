"""Telling of fetched images, each exactly once, whenever the agent dies.

In: that a fetch begins, is done, has failed.  Out: events. A file per fetch under way says what is still to be told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runtime.agent.events import Events
from runtime.agent.store import write_atomic
from runtime.model import EventKind, ImageRef, Struct, decode, encode

log = logging.getLogger(__name__)
MEBIBYTE = 1024**2


class Pull(Struct):
    """A fetch that began after event number `since`."""

    ref: ImageRef
    since: int


class Pulls:
    """One file per image that is being fetched. Lives on the event loop."""

    def __init__(self, folder: Path, events: Events) -> None:
        self._folder, self._events = folder, events
        self._shown: dict[str, str] = {}

    def begin(self, ref: ImageRef) -> None:
        if self._file(ref).exists():  # tried again
            return
        with suppress(OSError):  # a full disk: what matters then is the fetch, which will say so
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_atomic(self._file(ref), encode(Pull(ref=ref, since=self._events.last)), sync=False)

    def done(self, ref: ImageRef) -> None:
        self._shown.pop(ref.digest, None)
        self._events.add(EventKind.PULLED, message=pulled(ref))
        self._file(ref).unlink(missing_ok=True)

    def failed(self, ref: ImageRef, why: str) -> None:
        """Told when the reason is another than at the last try: what waits for its image tries for long."""
        if self._shown.get(ref.digest) != why:
            self._shown[ref.digest] = why
            self._events.add(EventKind.PULL_FAILED, message=f"{ref.digest}: {why}")

    def recover(self, missing: Callable[[tuple[ImageRef, ...]], tuple[ImageRef, ...]]) -> None:
        """After a restart: tell of what arrived when nobody could tell of it any more."""
        for file in sorted(self._folder.glob("*")) if self._folder.is_dir() else ():
            try:
                pull = decode(file.read_bytes(), Pull)
            except (OSError, ValueError):
                file.unlink(missing_ok=True)
                continue
            if missing((pull.ref,)):
                continue  # it is fetched again when it is asked for
            if not self._events.told(EventKind.PULLED, pulled(pull.ref), pull.since):
                self._events.add(EventKind.PULLED, message=pulled(pull.ref))
            file.unlink(missing_ok=True)

    def _file(self, ref: ImageRef) -> Path:
        return self._folder / ref.digest.removeprefix("sha256:")


def pulled(ref: ImageRef) -> str:
    return f"{ref.digest}, {ref.size / MEBIBYTE:.1f} MiB" if ref.size else ref.digest
