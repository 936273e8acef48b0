"""What the pusher reads while the build runs, in the shape Heroku users know.

In: steps, facts, warnings, errors.  Out: lines on a stream, flushed one by one; warnings are also kept.
"""

from __future__ import annotations

import textwrap
from typing import TextIO

WIDTH = 100


class Output:
    """Writes build lines. Every line is flushed: the pusher sees it as it happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.warnings: list[str] = []

    def step(self, text: str) -> None:
        self._line(f"-----> {text}")

    def info(self, text: str) -> None:
        self._line(f"       {text}")

    def warn(self, text: str) -> None:
        """Print a warning and keep it for the result."""
        self.warnings.append(text)
        for line in wrap(f"Warning: {text}"):
            self._line(f" !     {line}")

    def error(self, message: str, details: tuple[str, ...] = (), hint: str = "") -> None:
        """Print what happened, the cause below it and the next step, each its own paragraph."""
        paragraphs = [wrap(message), list(details), wrap(hint) if hint else []]
        self._line(" !")
        for paragraph in filter(None, paragraphs):
            for line in paragraph:
                self._line(f" !     {line}".rstrip())
            self._line(" !")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def wrap(text: str) -> list[str]:
    """Break long text at words; line breaks in it are kept."""
    lines: list[str] = []
    for part in text.splitlines():
        lines += textwrap.wrap(part, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return lines
