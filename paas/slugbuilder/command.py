"""Runs the tools of a build.

In: an argument list, a folder, an environment.  Out: its lines, live and indented, and how it ended.
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .errors import BuildError
from .output import Output

KEPT_LINES = 400
LINE_BYTES = 8192  # longer lines come in pieces, so that one without an end needs no memory


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
        for piece in iter(partial(process.stdout.readline, LINE_BYTES), b"") if process.stdout else ():
            line = piece.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
            kept.append(line)
            if output is not None and line.strip():
                output.tool(line, raw=raw)
    return Finished(process.returncode, tuple(kept))


def capture(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return what a short command prints on stdout, stripped; '' when it cannot be run or fails within 30 seconds."""
    try:
        done = subprocess.run(
            list(argv), env=dict(env), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
