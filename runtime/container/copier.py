"""A process of the agent's that reads or writes files inside a container, with no more rights than the app has.

In: where the container is, a path, a tar stream on stdin (or none).  Out: a tar stream on stdout (or none), notes and
the reason of a failure on stderr, exit status 0 or 1.

It enters the container's control groups (what it uses and writes counts there), its mounts and its user namespace,
becomes the app's user without any capability, and only then touches a file. Everything it needs is loaded before:
nothing is imported and no name service is asked inside, where files are the tenant's (CVE-2019-14271 of docker cp).
"""

from __future__ import annotations

import ctypes
import os
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

from runtime import tarball

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
PR_SET_NO_NEW_PRIVS = 38
CAPABILITIES_V3 = 0x20080522


def main(arguments: list[str]) -> int:
    pid, started, direction, path, uid, *doors = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    tarfile.pwd = tarfile.grp = None  # type: ignore[attr-defined] # they would ask the container's name services
    sys.stdout.buffer, sys.stdin.buffer  # noqa: B018 - made now
    try:
        enter(libc, int(pid), int(started), int(uid), doors)
        transfer(direction, path)
    except tarball.Refused as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{path}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def enter(libc: ctypes.CDLL, pid: int, started: int, uid: int, doors: list[str]) -> None:
    """Become a process of the container; for good."""
    for door in doors:
        with open(door, "w") as file:  # noqa: PTH123 - no more modules than needed
            file.write(str(os.getpid()))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # if memory is short, the copy goes and not the app
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    own = Path("/proc/self/ns/user").stat().st_ino == os.fstat(users).st_ino
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        if int(file.read().rpartition(")")[2].split()[19]) != started:
            raise tarball.Refused("The container has ended.")
    _check(libc.setns(mounts, CLONE_NEWNS))
    if not own:
        _check(libc.setns(users, CLONE_NEWUSER))
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    drop_capabilities(libc)
    os.umask(0o022)
    os.chdir("/")


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """None is left, and none comes back."""
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(libc.capset(header, nothing))


def transfer(direction: str, path: str) -> None:
    if direction == "in":
        tarball.unpack(sys.stdin.buffer, path)
        return
    if not os.path.lexists(path):
        raise tarball.Refused(f"There is no {path} in it.")
    tarball.pack(path, sys.stdout.buffer, lambda text: print(text, file=sys.stderr))
    sys.stdout.buffer.flush()


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
