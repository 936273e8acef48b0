"""What the pusher reads while the build runs, in the shape Heroku users know.

In: steps, facts, warnings, errors.  Out: lines on a stream, flushed one by one, without the secrets it has been told;
warnings are also kept.
What tools print is bounded: a build that never stops talking must not fill the logs of others.
"""

from __future__ import annotations

import textwrap
from typing import TextIO

from .errors import BuildError
from .masking import Masker

WIDTH = 100
MOST_LINES, MOST_CHARACTERS = 15_000, 1_500_000  # of tools; both fit into what the platform keeps of a build
FLOOD = 100  # times as much, most of it left out, is no output any more: something there has run wild


class Output:
    """Writes build lines. Every line is flushed: the pusher sees it as it happens."""

    def __init__(
        self,
        stream: TextIO,
        lines: int = MOST_LINES,
        characters: int = MOST_CHARACTERS,
        masker: Masker | None = None,
    ) -> None:
        self._stream = stream
        self._mask = (masker or Masker({})).mask
        self._lines, self._characters = lines, characters
        self._flood = (lines * FLOOD, characters * FLOOD)
        self._full = False
        self.warnings: list[str] = []

    def step(self, text: str) -> None:
        self._line(f"-----> {text}")

    def info(self, text: str) -> None:
        self._line(f"       {text}")

    def tool(self, text: str, raw: bool = False) -> None:
        """Print a line of a tool, as long as there is room for more. `raw`: as it is, without indentation.

        Raises BuildError when it goes on and on.
        """
        self._lines, self._characters = self._lines - 1, self._characters - len(text)
        if self._lines >= 0 and self._characters >= 0:
            self._line(text) if raw else self.info(text)
        elif not self._full:
            self._full = True
            self.warn("The build prints more than is kept; the rest of its tools' output is left out.")
        elif self._lines < -self._flood[0] or self._characters < -self._flood[1]:
            message = (
                f"The build printed more than {self._flood[0]:,} lines or {self._flood[1] // 10**6:,} MB, "
                "and was stopped."
            )
            hint = "Find the command that prints without end, or send its output to /dev/null."
            raise BuildError("build_output_too_large", message, hint=hint)

    def warn(self, text: str) -> None:
        """Print a warning and keep it for the result."""
        self.warnings.append(self._mask(text))
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

    def hide(self, text: str) -> str:
        """Return the text as it may be shown elsewhere, too."""
        return self._mask(text)

    def _line(self, text: str) -> None:
        self._stream.write(self._mask(text) + "\n")
        self._stream.flush()


def wrap(text: str) -> list[str]:
    """Break long text at words; line breaks in it are kept."""
    lines: list[str] = []
    for part in text.splitlines():
        lines += textwrap.wrap(part, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return lines
