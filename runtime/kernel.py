"""The kernel parameters that a container may have of its own: which, and which values.

In: names and texts as people write them.  Out: values a `ContainerSpec` carries; ValueError in words for anything else.

Allowed is what the kernel keeps per network or IPC namespace, where an app can hurt only itself and not loosen its
sandbox. Whether the host's kernel has it is found out when the container is made.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

UNLIMITED = -1
_KIB, _MIB = 1024, 1024**2


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One sysctl: the lowest and highest value of each of its numbers. `rising`: none is lower than the one before."""

    bounds: tuple[tuple[int, int], ...]
    meaning: str
    rising: bool = True


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One resource limit (setrlimit(2)), in `unit`. `unlimited` is a value where `endless`."""

    lowest: int
    highest: int
    unit: str
    meaning: str
    endless: bool = True


def _one(low: int, high: int, meaning: str) -> Sysctl:
    return Sysctl(((low, high),), meaning)


_BUFFER = (4 * _KIB, 32 * _MIB)

SYSCTLS: dict[str, Sysctl] = {
    "fs.mqueue.msg_default": _one(1, 65536, "messages of a new POSIX queue"),
    "fs.mqueue.msg_max": _one(1, 65536, "messages a POSIX queue may be made for"),
    "fs.mqueue.msgsize_default": _one(128, 16 * _MIB, "message size of a new POSIX queue, bytes"),
    "fs.mqueue.msgsize_max": _one(128, 16 * _MIB, "largest message a POSIX queue may be made for, bytes"),
    "fs.mqueue.queues_max": _one(1, 1024, "POSIX message queues"),
    "kernel.msgmax": _one(1, 16 * _MIB, "largest System V message, bytes"),
    "kernel.msgmnb": _one(1, 64 * _MIB, "bytes in a System V queue"),
    "kernel.msgmni": _one(1, 32000, "System V message queues"),
    "kernel.sem": Sysctl(
        ((1, 65536), (1, 2**31 - 1), (1, 10_000), (1, 32000)),
        "System V semaphores: per array, in all, operations per call, arrays",
        rising=False,
    ),
    "kernel.shm_rmid_forced": _one(0, 1, "1: shared memory goes with its last user"),
    "kernel.shmall": _one(1, 2**62, "System V shared memory in all, pages"),
    "kernel.shmmax": _one(1, 2**62, "largest System V shared memory segment, bytes"),
    "kernel.shmmni": _one(1, 32000, "System V shared memory segments"),
    "net.core.somaxconn": _one(1, 65535, "connections that may wait for accept()"),
    "net.ipv4.ip_local_port_range": Sysctl(
        ((1024, 65535),) * 2, "first and last port of outgoing connections"
    ),
    "net.ipv4.ip_unprivileged_port_start": _one(0, 1024, "first port that needs no privilege; 0 by default"),
    "net.ipv4.ping_group_range": Sysctl(((0, 65535),) * 2, "groups that may ping; `1 0`: none", rising=False),
    "net.ipv4.tcp_fastopen": _one(0, 3, "TCP fast open: 1 as client, 2 as server, 3 both"),
    "net.ipv4.tcp_fin_timeout": _one(1, 3600, "seconds in FIN-WAIT-2"),
    "net.ipv4.tcp_keepalive_intvl": _one(1, 32767, "seconds between keep-alive probes"),
    "net.ipv4.tcp_keepalive_probes": _one(1, 127, "unanswered keep-alive probes that end a connection"),
    "net.ipv4.tcp_keepalive_time": _one(1, 32767, "idle seconds before keep-alive probes"),
    "net.ipv4.tcp_max_syn_backlog": _one(1, 65535, "half-open connections of a listener"),
    "net.ipv4.tcp_retries2": _one(1, 255, "retransmissions before a connection is given up"),
    "net.ipv4.tcp_rmem": Sysctl((_BUFFER,) * 3, "receive buffer: least, default, most; bytes"),
    "net.ipv4.tcp_slow_start_after_idle": _one(0, 1, "0: an idle connection keeps its speed"),
    "net.ipv4.tcp_syn_retries": _one(1, 127, "attempts to open a connection"),
    "net.ipv4.tcp_syncookies": _one(0, 2, "SYN cookies: 0 never, 1 when the backlog is full, 2 always"),
    "net.ipv4.tcp_tw_reuse": _one(0, 2, "new connections on ports in TIME-WAIT: 0 no, 1 yes, 2 on loopback"),
    "net.ipv4.tcp_wmem": Sysctl((_BUFFER,) * 3, "send buffer: least, default, most; bytes"),
    "net.unix.max_dgram_qlen": _one(1, 4096, "datagrams that wait in a Unix socket"),
}

ULIMITS: dict[str, Ulimit] = {
    "core": Ulimit(0, 2**62, "bytes", "core files; 0 by default"),
    "memlock": Ulimit(0, 2**62, "bytes", "memory locked against swapping"),
    "msgqueue": Ulimit(0, 2**62, "bytes", "POSIX message queues"),
    "nofile": Ulimit(
        64, 1024**2, "files", "open files and sockets of a process; 16384 by default", endless=False
    ),
    "nproc": Ulimit(16, 4 * 1024**2, "processes", "processes and threads"),
    "stack": Ulimit(256 * _KIB, 2**62, "bytes", "stack of the main thread"),
}


def parse_sysctl(name: str, text: str) -> str:
    """Return the value as the kernel reads it: numbers with one space between. Raises ValueError in words."""
    known = SYSCTLS.get(name)
    if known is None:
        raise ValueError(_unknown("sysctl", name, tuple(SYSCTLS)))
    words = text.split()
    if len(words) != len(known.bounds) or not all(map(_is_number, words)):
        raise ValueError(f"{name} takes {_numbers(len(known.bounds))}, not {text!r}.")
    values = [int(word) for word in words]
    for value, (low, high) in zip(values, known.bounds, strict=True):
        if not low <= value <= high:
            raise ValueError(f"{name} takes numbers from {low} to {high}; {value} is not one of them.")
    if known.rising and values != sorted(values):
        raise ValueError(f"The numbers of {name} must rise: {text!r} does not.")
    return " ".join(map(str, values))


def parse_ulimit(name: str, text: str) -> tuple[int, int]:
    """Read `N`, `SOFT:HARD` or `unlimited`. Returns soft and hard, UNLIMITED for no limit. Raises ValueError."""
    soft, colon, hard = text.strip().partition(":")
    return check_ulimit(name, _amount(name, soft), _amount(name, hard if colon else soft))


def check_ulimit(name: str, soft: int, hard: int) -> tuple[int, int]:
    """Return soft and hard if a container may have them. Raises ValueError in words."""
    known = _ulimit(name)
    for value in (soft, hard):
        if value == UNLIMITED and known.endless:
            continue
        if not known.lowest <= value <= known.highest:
            words = f"{known.lowest} to {known.highest} {known.unit}"
            raise ValueError(
                f"The ulimit {name} takes {words}{' or unlimited' if known.endless else ''}, not {show_limit(value)}."
            )
    if not within(soft, hard):
        raise ValueError(
            f"The soft limit of {name} ({show_limit(soft)}) is above its hard limit ({show_limit(hard)})."
        )
    return soft, hard


def within(value: int, ceiling: int) -> bool:
    """Tell whether a limit is not above another; UNLIMITED is above all."""
    return ceiling == UNLIMITED or (value != UNLIMITED and value <= ceiling)


def show_limit(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def show_ulimit(soft: int, hard: int) -> str:
    """Return what `parse_ulimit` reads."""
    return show_limit(soft) if soft == hard else f"{show_limit(soft)}:{show_limit(hard)}"


def _ulimit(name: str) -> Ulimit:
    known = ULIMITS.get(name)
    if known is None:
        raise ValueError(_unknown("ulimit", name, tuple(ULIMITS)))
    return known


def _amount(name: str, word: str) -> int:
    word = word.strip()
    if word == "unlimited":
        return UNLIMITED
    if not _is_number(word):
        _ulimit(name)
        raise ValueError(f"The ulimit {name} takes N, SOFT:HARD or unlimited, not {word!r}.")
    return int(word)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 19


def _numbers(count: int) -> str:
    return "one whole number" if count == 1 else f"{count} whole numbers with spaces between"


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    listed = f" Allowed are: {', '.join(known)}." if kind == "ulimit" else ""
    return f"The {kind} {name!r} cannot be set for a container.{hint}{listed}"
