"""Typed input without a terminal: bytes in which the user's client marks the end with a ^D.

In: chunks as they come.  Out: input, its end, an interrupt.
"""

from __future__ import annotations

from dataclasses import dataclass

END, INTERRUPT = b"\x04", b"\x03"
QUIET = 0.25  # seconds of silence that make a ^D at the end of a chunk the end of the input


@dataclass
class PipeInput:
    """A ^D is the end when nothing follows it, data otherwise. `held`: one waits to be told apart."""

    held: bool = False
    ended: bool = False

    def feed(self, chunk: bytes) -> bytes:
        """Return what is input for certain."""
        if self.ended:
            return b""
        data = (END if self.held else b"") + chunk
        self.held = data.endswith(END)
        return data[:-1] if self.held else data

    def settle(self) -> None:
        """Nothing followed."""
        self.held, self.ended = False, True


def is_interrupt(chunk: bytes) -> bool:
    """A lone ^C was typed: where there is no terminal to make a signal of it, this process does."""
    return chunk == INTERRUPT
