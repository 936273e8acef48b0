"""The router's folder. In: the table, where its apps live, rendered files. Out: the same after any restart.

Every file is written whole beside its place and renamed into it, so that HAProxy and we never read half of one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from paas.router.layout import Placement
from paas.router.table import RouteTable, Struct, T, decode, encode

TABLE = "table.json"
STATE = "state.json"


class State(Struct, frozen=True):
    """What must not change when the router restarts: slots, the log receiver's port, and the key of its lines."""

    placement: Placement = Placement()
    log_port: int = 0
    log_key: str = ""


class Home:
    """The folder. HAProxy opens its files before it drops its privileges, and later only connects to its own socket.

    So nobody but the owner may list the folder or read a file in it; others may reach that socket, and its own mode.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        path.chmod(0o711)
        (path / "pages").mkdir(mode=0o700, exist_ok=True)

    def table(self) -> RouteTable:
        """Return the last table (an empty one of version 0 at first)."""
        return self._load(TABLE, RouteTable) or RouteTable(version=0)

    def state(self) -> State:
        """Return the state, a new one with a new key at first."""
        return self._load(STATE, State) or State(log_key=secrets.token_hex(16))

    def save_table(self, table: RouteTable) -> None:
        self._replace(TABLE, encode(table).decode(), lasting=True)

    def save_state(self, state: State) -> None:
        self._replace(STATE, encode(state).decode(), lasting=True)

    def write(self, files: Mapping[str, str]) -> None:
        """Put rendered `files` (text by name) in place, leaving those alone that already are as wanted."""
        for name, text in files.items():
            if not self._holds(name, text):
                self._replace(name, text, lasting=False)

    def _holds(self, name: str, text: str) -> bool:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self.path / name).read_text(encoding="utf-8") == text
        return False

    def _replace(self, name: str, text: str, *, lasting: bool) -> None:
        """Write a file. `lasting`: it must survive a power cut; rendered files are made again from the table."""
        part = self.path / f"{name}.part"
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        part.replace(self.path / name)

    def _load(self, name: str, type_: type[T]) -> T | None:
        """Read a file of ours. A damaged one counts as absent: the controller sends the table again."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return decode((self.path / name).read_bytes(), type_)
        return None
