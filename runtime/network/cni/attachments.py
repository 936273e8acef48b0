"""Which containers are on a CNI network, on disk: from before ADD until after DEL, so that no address is forgotten.

In: `Attachment`s.  Out: the same, read back by whoever comes after a crash.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from runtime.container.storage import write_atomically
from runtime.model import decode, encode
from runtime.network.cni.chain import Attachment
from runtime.network.cni.conf import Chain

_NETWORK = "network"


class Attachments:
    """The files of one home, NUMBER.json each, and the network as the agent last used it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, attachment: Attachment) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self._file(attachment.number), encode(attachment))

    def forget(self, number: int) -> None:
        self._file(number).unlink(missing_ok=True)

    def load(self, number: int) -> Attachment | None:
        with contextlib.suppress(OSError, ValueError):
            return decode(self._file(number).read_bytes(), Attachment)
        return None

    def all(self) -> tuple[Attachment, ...]:
        numbers = sorted(int(file.stem) for file in self.directory.glob("*.json") if file.stem.isdigit())
        return tuple(one for one in map(self.load, numbers) if one is not None)

    def remember(self, chain: Chain) -> None:
        """Keep the network itself: the doctor asks its address management what is taken."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self.directory / f"{_NETWORK}.json", encode(chain))

    def chain(self) -> Chain | None:
        with contextlib.suppress(OSError, ValueError):
            return decode((self.directory / f"{_NETWORK}.json").read_bytes(), Chain)
        return None

    def _file(self, number: int) -> Path:
        return self.directory / f"{number}.json"
