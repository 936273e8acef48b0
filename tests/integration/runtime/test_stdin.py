"""Standard input as an event loop gets it: in a process of its own, which has one to give."""

from __future__ import annotations

import subprocess
import sys

COPY = """
import asyncio, sys
from runtime.stdin import pieces

async def copy():
    async for piece in pieces():
        sys.stdout.buffer.write(piece)

asyncio.run(copy())
"""
LATE = """
import asyncio, threading
from runtime.stdin import pieces

async def begin():
    reading = asyncio.create_task(anext(pieces()))
    await asyncio.sleep(0)
    reading.cancel()

asyncio.run(begin())
print("ended", flush=True)
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(30)
"""


def test_every_piece_arrives_in_order() -> None:
    sent = b"".join(b"line %d\n" % number for number in range(40_000))
    done = subprocess.run(
        (sys.executable, "-c", COPY), input=sent, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == sent


def test_a_descriptor_that_is_closed_has_no_input() -> None:
    command = ("/bin/sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, COPY)
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_input_that_comes_when_the_loop_has_ended_is_no_complaint() -> None:
    command = (sys.executable, "-c", LATE)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ended\n"
        assert process.communicate(b"too late", timeout=60) == (b"", b"")
        assert process.returncode == 0
