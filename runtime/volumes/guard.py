"""Holds one file system still, and lets it go whatever happens to whoever asked. Run as a program, on its own.

In: a descriptor of the file system, seconds, a byte on standard input when done.  Out: `frozen`, then `thawed`; `late`
when the time was over first. It thaws at its deadline and when its input ends: an agent that was killed holds nothing.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys

FREEZE, THAW = 0xC0045877, 0xC0045878  # FIFREEZE, FITHAW (linux/fs.h)


def main(descriptor: int, seconds: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    fcntl.ioctl(descriptor, FREEZE, 0)
    ready: list[int] = []
    try:
        os.write(1, b"frozen\n")
        ready, _, _ = select.select([0], [], [], seconds)
    finally:
        fcntl.ioctl(descriptor, THAW, 0)
    os.write(1, b"thawed\n" if ready and os.read(0, 1) == b"." else b"late\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
