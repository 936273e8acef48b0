"""Images a container needs, brought to this host.

In: image references.  Out: the same images in the engine's store; one download per digest however many wait for it.
"""

from __future__ import annotations

import asyncio
import errno
import uuid
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeVar

from runtime.agent.backoff import retry_delay
from runtime.agent.calls import EngineCalls
from runtime.agent.controller import Controller, Refused
from runtime.agent.pulls import Pulls
from runtime.model import ImageRef

RETRY_CAP = 30.0
T = TypeVar("T")


class Images:
    """Downloads by digest. The engine checks the content against the digest."""

    def __init__(self, calls: EngineCalls, controller: Controller, temporary: Path, pulls: Pulls) -> None:
        self._calls = calls
        self._controller = controller
        self._temporary = temporary
        self._pulls = pulls
        self._running: dict[str, asyncio.Task[None]] = {}
        self._removing: dict[str, asyncio.Task[None]] = {}
        self.on_disk_full: Callable[[], None] = lambda: None

    async def ensure(self, refs: tuple[ImageRef, ...]) -> None:
        """Return when all of `refs` are on this host. Raises what the first failed download raised."""
        if not refs:
            return
        for ref in refs:
            if ref.digest in self._removing:
                await asyncio.wait({self._removing[ref.digest]})
        missing = await self._calls.missing_images(refs)
        await asyncio.gather(*(self._shared(ref) for ref in missing))

    async def ensure_patiently(self, refs: tuple[ImageRef, ...], on_failure: Callable[[str], None]) -> None:
        """Like `ensure`, trying again until it works; the image may not be uploaded yet, or the controller down."""
        attempt = 0
        while True:
            try:
                await self.ensure(refs)
            except Exception as error:
                attempt += 1
                on_failure(str(error))
                await asyncio.sleep(retry_delay(attempt, first=0.5, cap=RETRY_CAP))
            else:
                return

    async def ensure_before(self, refs: tuple[ImageRef, ...], seconds: float) -> None:
        """Like `ensure`, trying again for `seconds`; a refusal (4xx) fails at once."""
        deadline = asyncio.get_running_loop().time() + seconds
        await retried(lambda: self.ensure(refs), deadline)

    async def remove(self, ref: ImageRef, pinned: Callable[[], Collection[str]]) -> bool:
        """Delete an image unless it is pinned at this moment. Whoever asks for it meanwhile waits, then fetches it."""
        if ref.digest in pinned() or ref.digest in self._running or ref.digest in self._removing:
            return False
        task = self._removing[ref.digest] = asyncio.create_task(self._calls.remove_image(ref))
        task.add_done_callback(lambda _: self._removing.pop(ref.digest))
        await asyncio.shield(task)
        return True

    async def _shared(self, ref: ImageRef) -> None:
        task = self._running.get(ref.digest)
        if task is None:
            task = self._running[ref.digest] = asyncio.create_task(self._fetch(ref))
            task.add_done_callback(lambda done: self._finished(ref.digest, done))
        await asyncio.shield(task)

    def _finished(self, digest: str, task: asyncio.Task[None]) -> None:
        del self._running[digest]
        if not task.cancelled():
            task.exception()

    async def _fetch(self, ref: ImageRef) -> None:
        file = self._temporary / f"image-{uuid.uuid4().hex}"
        self._pulls.begin(ref)
        try:
            await self._controller.fetch_image(ref, file)
            await self._calls.add_image(ref, file)
            self._pulls.done(ref)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self.on_disk_full()
            self._pulls.failed(ref, str(error))
            raise
        except Exception as error:
            self._pulls.failed(ref, str(error))
            raise
        finally:
            file.unlink(missing_ok=True)


async def retried(step: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Await `step()` again after failures until loop time `deadline`, unless it was refused; what it gives."""
    attempt = 0
    while True:
        try:
            return await step()
        except Refused:
            raise
        except Exception:
            attempt += 1
            delay = retry_delay(attempt, first=0.5)
            if asyncio.get_running_loop().time() + delay > deadline:
                raise
            await asyncio.sleep(delay)
