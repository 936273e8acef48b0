"""The first lines of a container's newest run, also when its log has been rotated since.

In: the spool at the start of a run.  Out: those lines, as long as the spool is kept. Over restarts of the agent too.

A small file beside the log says where the run begins; before that part of the log goes, its first lines move there.
"""

from __future__ import annotations

import logging
from pathlib import Path

from runtime.logs.spool import Reader, Spool
from runtime.model import LogLine, Stream, Struct, decode, encode

log = logging.getLogger(__name__)
LINES = 10
WIDTH = 300  # characters
BYTES = 32 * 1024


class Kept(Struct):
    """`cursor` is where the run begins. `lines` are None while the log itself still has them."""

    cursor: int
    lines: tuple[LogLine, ...] | None = None


class RunHead:
    """Of one container."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file = spool.path.with_name(f"{spool.path.name}.head")

    def begin(self) -> None:
        """A run begins with what is written from now on."""
        self._save(Kept(cursor=self._spool.end()))

    def keep(self) -> None:
        """Called before old output is deleted."""
        kept = self._load()
        if kept is not None and kept.lines is None:
            self._save(Kept(cursor=kept.cursor, lines=self._read(kept.cursor)))

    @property
    def begun(self) -> int | None:
        """The cursor where the newest run begins, None when nobody said so."""
        kept = self._load()
        return None if kept is None else kept.cursor

    def lines(self) -> tuple[LogLine, ...]:
        kept = self._load()
        if kept is None:
            return ()
        return self._read(kept.cursor) if kept.lines is None else kept.lines

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)

    def _read(self, cursor: int) -> tuple[LogLine, ...]:
        segments = self._spool.segments()
        if not segments or segments[0].base > cursor:
            return ()
        reader = Reader(self._spool, cursor)
        lines, more = reader.read(BYTES)
        if not more:
            lines += reader.finish()
        return tuple(line for line in lines if line.stream is not Stream.SYSTEM)[:LINES]

    def _load(self) -> Kept | None:
        try:
            return decode(self._file.read_bytes(), Kept)
        except (OSError, ValueError):
            return None

    def _save(self, kept: Kept) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(f"{self._file}.new")
            draft.write_bytes(encode(kept))
            draft.chmod(0o600)
            draft.replace(self._file)
        except OSError as error:
            log.error("the first lines of %s cannot be kept: %s", self._spool.path.name, error)
