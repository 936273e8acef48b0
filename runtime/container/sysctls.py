"""Setting the sysctls of a container that has been created and waits for its start.

In: the pid of its first process, names and values.  Out: the kernel has taken them, in the namespaces of that process
only; EngineError naming the sysctl it has not or does not take.

Done from here and not by the OCI runtime: a pooled network namespace belongs to the host's root, whom the root of a
user namespace is not, and only some kernels let the latter write its IPC sysctls (Linux 6.9), others only the former.
"""

from __future__ import annotations

import os
import platform
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from runtime.container import syscalls
from runtime.container.port import EngineError

_NAMESPACES = {"net": syscalls.CLONE_NEWNET, "ipc": syscalls.CLONE_NEWIPC}
_GROUPS = "net.ipv4.ping_group_range"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def host_value(name: str, value: str, uid_start: int) -> str:
    """Return the value as the host writes it: group ids inside a user namespace are other numbers outside."""
    if name != _GROUPS:
        return value
    return " ".join(str(int(word) + uid_start) for word in value.split())


def apply(pid: int, sysctls: Mapping[str, str], uid_start: int | None) -> None:
    """Set them. Raises EngineError for the first that cannot be set."""
    if not sysctls:
        return
    failed: list[BaseException] = []

    def run() -> None:
        try:
            _enter(pid)
            for name, value in sorted(sysctls.items()):
                _write(name, host_value(name, value, uid_start or 0), uid_start)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(
        target=run, name="sysctls"
    )  # it ends: there is no way back that could be forgotten
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _enter(pid: int) -> None:
    for name, kind in _NAMESPACES.items():
        fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(fd, kind)
        finally:
            os.close(fd)


def _write(name: str, value: str, uid_start: int | None) -> None:
    path = Path("/proc/sys", *name.split("."))
    try:
        path.write_text(f"{value}\n")
    except FileNotFoundError as error:
        raise EngineError(
            f"The sysctl {name} cannot be set: the kernel of this host ({platform.release()}) has none per container."
        ) from error
    except PermissionError as error:
        if uid_start is None:
            raise _refused(name, value, "it may not be written") from error
        _write_as(uid_start, path, name, value)
    except OSError as error:
        raise _refused(name, value, error.strerror or "") from error


def _write_as(uid: int, path: Path, name: str, value: str) -> None:
    """Write as the container's root, in a child: the ids of one thread of this process cannot be changed."""
    done = subprocess.run(
        ["tee", str(path)],
        input=f"{value}\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_ENVIRONMENT,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=[],
        timeout=10,
        check=False,
    )
    if done.returncode:
        raise _refused(name, value, done.stderr.strip().rpartition(": ")[2])


def _refused(name: str, value: str, reason: str) -> EngineError:
    return EngineError(f"The kernel of this host does not take {value!r} for the sysctl {name}: {reason}.")
