"""Runs the tools of a build.

In: an argument list, a folder, an environment.  Out: its lines, live and indented, and how it ended.
"""

from __future__ import annotations

import math
import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError
from .output import Output

KEPT_LINES = 400
LINE_BYTES = 8192  # longer lines come in pieces, so that one without an end needs no memory
LOOK_SECONDS = 0.2
LINGER_SECONDS = 1.0  # to read what is in the pipe when a command has ended


@dataclass(frozen=True)
class Finished:
    """How a command ended: its exit code and its last lines (stdout and stderr mixed, as they came)."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def run(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Output | None, raw: bool = False
) -> Finished:
    """Run a command to its end; with `output` its lines are shown as they come. The job's own limit is the deadline.

    `raw`: they are lines of a buildpack, which indents them itself.
    """
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise BuildError("tool_missing", f"{argv[0]} could not be started: {error.strerror}.") from error
    with process:
        try:
            for piece in _lines(process):
                line = piece.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
                kept.append(line)
                if output is not None and line.strip():
                    output.tool(line, raw=raw)
        except BaseException:
            process.kill()  # what it started gets SIGPIPE, and ends with the container at the latest
            raise
    return Finished(process.returncode, tuple(kept))


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield what a command prints, in lines or pieces of LINE_BYTES, until it has ended.

    What it has left in the background keeps its end of the pipe: that gets a moment, and is not waited for.
    """
    assert process.stdout is not None
    pipe, rest, deadline = process.stdout.fileno(), b"", math.inf
    while time.monotonic() < deadline:
        if select.select((pipe,), (), (), LOOK_SECONDS)[0]:
            data = os.read(pipe, 65536)
            if not data:
                break
            *whole, rest = _pieces(rest + data)
            yield from whole
        if deadline == math.inf and process.poll() is not None:
            deadline = time.monotonic() + LINGER_SECONDS
    if rest:
        yield rest


def _pieces(data: bytes) -> list[bytes]:
    """Split at line ends, and where a line is too long; the last one may go on."""
    pieces = []
    for line in data.split(b"\n"):
        pieces += [line[at : at + LINE_BYTES] for at in range(0, len(line), LINE_BYTES)] or [b""]
    return pieces


def capture(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return what a short command prints on stdout, stripped; '' when it cannot be run or fails within 30 seconds."""
    try:
        done = subprocess.run(
            list(argv), env=dict(env), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
