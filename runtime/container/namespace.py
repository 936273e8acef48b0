"""The private mount namespace in which all mounts of one platform live, pinned on a file.

In: functions to run there.  Out: their results; the host's own mount table never changes but for the pin.

Why always, and not only where crun needs it (crun 1.8 refuses hybrid cgroups whose v2 side has controllers): one
path on every host, and one umount removes every mount, namespace pin and loop device that a crash may have left.
Only the threads of this module enter it: setns(2) works per thread once the thread no longer shares its cwd and
root with the others (CLONE_FS), and a child process inherits the namespace of the thread that forks it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from runtime.container import syscalls
from runtime.container.port import EngineError

P = ParamSpec("P")
T = TypeVar("T")
_UNIFIED = Path("/sys/fs/cgroup/unified")
_RUN_OPTIONS = "mode=0755,size=256m"  # what the runtime knows of a container takes 24 KiB


class MountNamespace:
    """`directory` holds the pin (on the host), `run` is a tmpfs that exists only inside."""

    def __init__(self, directory: Path, run: Path, threads: int = 8) -> None:
        self.run_directory = run
        self._directory = directory
        self._pin = directory / "mnt"
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._side: ThreadPoolExecutor | None = None
        self._fd = -1

    def open(self) -> None:
        """Enter the pinned namespace, or make and pin a new one."""
        if self._pool is not None:
            return
        made = not self._is_pinned()
        if made:
            self._make()
        self._start()
        if not made:  # perhaps by a version that made it smaller
            self.call(_resize, self.run_directory)

    def _start(self) -> None:
        # Kept, because a thread may be started by one that is inside, where the pin cannot be seen.
        self._fd = os.open(self._pin, os.O_RDONLY | os.O_CLOEXEC)
        self._pool = ThreadPoolExecutor(self._threads, "mounts", initializer=self._prepare_thread)
        self._side = ThreadPoolExecutor(self._threads, "beside", initializer=self._prepare_thread)
        self.call(os.getpid)

    def join(self) -> bool:
        """Enter the pinned namespace if there is one; make none."""
        if self._pool is None and self._is_pinned():
            self._start()
        return self._pool is not None

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` inside and return its result. Re-entrant: inside it just calls."""
        if getattr(_inside, "namespace", None) is self:
            return function(*args, **kwargs)
        if self._pool is None:
            raise EngineError("The engine is not open.")
        return self._pool.submit(function, *args, **kwargs).result()

    @contextlib.contextmanager
    def beside(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Iterator[None]:
        """Run `function` inside while the block runs, and leave when both have ended; raises what either raised, the
        block's first. `function` itself must not use this: its threads would wait for each other."""
        if self._side is None:
            raise EngineError("The engine is not open.")
        running = self._side.submit(function, *args, **kwargs)
        try:
            yield
        except BaseException:
            running.exception()
            raise
        running.result()

    def close(self, *, remove: bool) -> None:
        """Leave. With `remove` the namespace goes, and every mount in it with it."""
        if self._pool is not None and self._side is not None:
            self._pool.shutdown()
            self._side.shutdown()
            self._pool = self._side = None
            os.close(self._fd)
        if remove:
            self._unpin()

    def _is_pinned(self) -> bool:
        """Only a namespace can be entered: try it in a thread, since there is no way back out."""
        entered: list[bool] = []

        def attempt() -> None:
            with contextlib.suppress(OSError):
                fd = os.open(self._pin, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _enter(fd)
                    entered.append(True)
                finally:
                    os.close(fd)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        return bool(entered)

    def _prepare_thread(self) -> None:
        _enter(self._fd)
        _inside.namespace = self

    def _make(self) -> None:
        """A short-lived thread makes the namespace; this one pins it from outside, while the thread waits."""
        self._unpin()
        self.run_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The kernel pins a mount namespace only on a private mount: a copy of it inside would be a cycle.
        syscalls.mount(str(self._directory), self._directory, "", syscalls.MS_BIND)
        syscalls.mount("", self._directory, "", syscalls.MS_PRIVATE)
        self._pin.touch(mode=0o600)
        for cpu in (None, *range(os.cpu_count() or 1)):
            try:
                return self._pin_new(cpu)
            except OSError as error:
                refusal = error
                if error.errno != errno.EINVAL:
                    break
        raise EngineError(f"The private mount namespace could not be kept: {refusal}.") from refusal

    def _pin_new(self, cpu: int | None) -> None:
        """Make a namespace on one CPU (None: any) and pin it.

        A mount namespace can be pinned only in one with a lower id (so that there are no cycles), and since 6.18
        Linux gives each CPU its own range of ids: with the agent in a namespace of its own (a unit with PrivateTmp,
        a container) a new one may have a lower id than that, but not one from the CPU that made the agent's.
        """
        maker = _Maker(self.run_directory, cpu)
        maker.start()
        try:
            maker.wait_ready()
            syscalls.mount(f"/proc/self/task/{maker.native_id}/ns/mnt", self._pin, "", syscalls.MS_BIND)
        finally:
            maker.finish()

    def _unpin(self) -> None:
        for path in (self._pin, self._directory):
            with contextlib.suppress(OSError):
                while True:
                    syscalls.umount(path)
        self._pin.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._directory.rmdir()
            self.run_directory.rmdir()


class _Maker(threading.Thread):
    """A thread that unshares its mount namespace, furnishes it and waits until somebody has pinned it."""

    def __init__(self, run: Path, cpu: int | None) -> None:
        super().__init__(name="mount-namespace", daemon=True)
        self._run, self._cpu = run, cpu
        self._ready, self._done = threading.Event(), threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            if self._cpu is not None:
                with contextlib.suppress(OSError):  # a CPU that this process may not use
                    os.sched_setaffinity(0, {self._cpu})  # this thread only
            syscalls.unshare(syscalls.CLONE_NEWNS)
            _furnish(self._run)
        except Exception as error:
            self._error = error
        self._ready.set()
        self._done.wait(60)

    def wait_ready(self) -> None:
        self._ready.wait(30)
        if self._error is not None:
            raise EngineError(
                f"The private mount namespace could not be made: {self._error}."
            ) from self._error

    def finish(self) -> None:
        self._done.set()
        self.join()


def _enter(fd: int) -> None:
    syscalls.unshare(syscalls.CLONE_FS)
    syscalls.setns(fd, syscalls.CLONE_NEWNS)


def _resize(run: Path) -> None:
    flags = syscalls.MS_REMOUNT | syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("paas", run, "tmpfs", flags, _RUN_OPTIONS)


def _furnish(run: Path) -> None:
    # Slave, not private: what the host unmounts later must not stay busy because of a copy in here.
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    if _is_hybrid_with_controllers():
        syscalls.umount(_UNIFIED)
    syscalls.mount("paas", run, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, _RUN_OPTIONS)
    syscalls.mount("", run, "", syscalls.MS_PRIVATE)


def _is_hybrid_with_controllers() -> bool:
    with contextlib.suppress(OSError):
        return bool((_UNIFIED / "cgroup.controllers").read_text().strip())
    return False


_inside = threading.local()
