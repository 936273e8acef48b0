"""Clones and fetches.

In: the body of a git-upload-pack request (protocol v0; newer clients fall back).  Out: a generator of response bytes.
A plain clone gets the repository's one pack as it is (joined first if there are several); everything else goes through
dulwich's UploadPackHandler in a thread with a bounded queue.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from dulwich.errors import GitProtocolError, HangupException
from dulwich.protocol import Protocol, ReceivableProtocol, extract_want_line_capabilities
from dulwich.repo import Repo
from dulwich.server import UploadPackHandler

from paas.controller.git import locks
from paas.controller.git.body import Body, BodyBroken
from paas.controller.git.limits import Limits, size
from paas.controller.git.packstore import pack_paths
from paas.controller.git.port import AppRepository, GitRefused
from paas.controller.git.quarantine import open_quarantine
from paas.controller.git.repack import consolidate
from paas.controller.git.repositories import pack_folder
from paas.controller.git.wire import FLUSH, error_packet, sideband, single

logger = logging.getLogger(__name__)

CAPABILITIES = (
    b"multi_ack_detailed",
    b"multi_ack",
    b"side-band-64k",
    b"thin-pack",
    b"ofs-delta",
    b"no-progress",
    b"include-tag",
    b"shallow",
    b"no-done",
    b"filter",
)
_MAX_REQUEST = 8 << 20
_SIDEBAND_DATA = 65515
_BATCH = 8
_QUEUED = 64


@dataclass(frozen=True, slots=True)
class Fetch:
    """Everything a fetch needs. `slots` bounds the fetches of this process."""

    app: AppRepository
    git: Repo
    body: Body
    limits: Limits
    slots: threading.BoundedSemaphore


def run(fetch: Fetch) -> Iterator[bytes]:
    """Yield the response to one request."""
    taken = False
    try:
        request = _read(fetch.body)
        if not request or request == FLUSH:
            return
        taken = fetch.slots.acquire(timeout=fetch.limits.clone_wait)
        if not taken:
            raise GitRefused("too many clones are running on this server; try again in a minute")
        yield from _answer(fetch, request)
    except GitRefused as error:
        yield error_packet(str(error))
    except BodyBroken as error:
        logger.info("fetch from %s: %s", fetch.app.name, error)
        fetch.body.refuse_more()
    finally:
        if taken:
            fetch.slots.release()
        fetch.git.close()


def _read(body: Body) -> bytes:
    """Return the whole request: ids and a few words."""
    request = bytearray()
    while piece := body.recv(1 << 16):
        request += piece
        if len(request) > _MAX_REQUEST:
            body.refuse_more()
            raise GitRefused(f"the fetch request is bigger than {size(_MAX_REQUEST)}; clone afresh")
    return bytes(request)


def _answer(fetch: Fetch, request: bytes) -> Iterator[bytes]:
    pack = _single_pack(fetch) if is_plain_clone(request, set(fetch.git.get_refs().values())) else None
    if pack is None:
        yield from _through_dulwich(fetch, request)
        return
    with pack:
        yield from _pass_through(pack)


def is_plain_clone(request: bytes, tips: set[bytes]) -> bool:
    """Return whether everything that the refs point to is wanted by a client that has nothing yet."""
    proto = Protocol(BytesIO(request).read, lambda data: None)
    try:
        wants = [line.rstrip(b"\n") for line in proto.read_pkt_seq()]
        done = proto.read_pkt_line()
    except (HangupException, GitProtocolError):
        return False
    if not wants or done is None or done.rstrip(b"\n") != b"done":
        return False
    wants[0], capabilities = extract_want_line_capabilities(wants[0])
    if not {b"side-band-64k", b"ofs-delta"} <= set(capabilities) or any(
        c.startswith(b"filter=") for c in capabilities
    ):
        return False
    return {line.rstrip() for line in wants} == {b"want " + tip for tip in tips}


def _single_pack(fetch: Fetch) -> BinaryIO | None:
    """Return the repository's only pack, opened; joins several if no push is running."""
    folder = pack_folder(fetch.app.path)
    if len(pack_paths(folder)) > 1:
        _join(fetch.app.path)
    packs = pack_paths(folder)
    try:
        return packs[0].open("rb") if len(packs) == 1 else None
    except FileNotFoundError:
        return None


def _join(path: Path) -> None:
    try:
        with locks.hold(path), open_quarantine(path) as quarantine:
            consolidate(quarantine)
    except locks.PushInProgress:
        return
    except OSError as error:
        logger.warning("cannot join the packs of %s: %s", path, error)


def _pass_through(pack: BinaryIO) -> Iterator[bytes]:
    """Yield the pack as it is, in sideband 1."""
    yield b"0008NAK\n"
    while pieces := [piece for _ in range(_BATCH) if (piece := pack.read(_SIDEBAND_DATA))]:
        yield b"".join(sideband(1, piece) for piece in pieces)
    yield FLUSH


class _Abandoned(Exception):
    """Raised in the handler's thread when nobody reads any more."""


class _Channel:
    """What the handler's thread writes and the response reads; full after some 64 pieces."""

    def __init__(self) -> None:
        self._items: queue.Queue[bytes | Exception | None] = queue.Queue(_QUEUED)
        self._abandoned = threading.Event()

    def write(self, data: bytes) -> None:
        """Pass on a piece."""
        self._put(bytes(data))

    def end(self, error: Exception | None) -> None:
        """Pass on the end, or why it ended early."""
        try:
            self._put(error)
        except _Abandoned:
            return

    def abandon(self) -> None:
        """Make the writer stop."""
        self._abandoned.set()

    def read(self) -> bytes | Exception | None:
        """Return the next piece, the error, or None at the end."""
        return self._items.get()

    def _put(self, item: bytes | Exception | None) -> None:
        while not self._abandoned.is_set():
            try:
                self._items.put(item, timeout=0.5)
            except queue.Full:
                continue
            return
        raise _Abandoned


def _through_dulwich(fetch: Fetch, request: bytes) -> Iterator[bytes]:
    """Run dulwich's handler in a thread and yield what it writes."""
    channel = _Channel()
    worker = threading.Thread(target=_serve, args=(fetch, request, channel), daemon=True)
    worker.start()
    sent = False
    try:
        while (item := channel.read()) is not None:
            if isinstance(item, Exception):
                logger.error("fetch from %s failed: %r", fetch.app.name, item, exc_info=item)
                if sent:
                    raise item
                item = error_packet("the server cannot answer this fetch; clone without --depth and --filter")
            sent = True
            yield item
    finally:
        channel.abandon()
        worker.join()


def _serve(fetch: Fetch, request: bytes, channel: _Channel) -> None:
    proto = ReceivableProtocol(BytesIO(request).read, channel.write)
    handler = UploadPackHandler(single(fetch.git), ["/"], proto, stateless_rpc=True)
    try:
        handler.handle()
    except _Abandoned:
        return
    except Exception as error:  # the response's thread reports it
        channel.end(error)
        return
    channel.end(None)
