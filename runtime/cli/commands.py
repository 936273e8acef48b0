"""How a module of this package offers its commands.

In: a subject's `register(add)`.  Out: sub-parsers, each of which knows the function that carries it out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from runtime.config import Settings

Command = Callable[[Settings, argparse.Namespace], int]


class Commands:
    """Where commands are added. A command gets the settings and its arguments, and returns the exit status."""

    def __init__(self, parsers: Any) -> None:
        self._parsers = parsers

    def add(self, name: str, command: Command, text: str, epilog: str = "") -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = self._parsers.add_parser(
            name, help=text, description=f"{text[:1].upper()}{text[1:]}.", epilog=epilog or None
        )
        one.set_defaults(command=command)
        return one


def command_words(words: list[str]) -> list[str]:
    """What follows `--`. Pure."""
    return words[1:] if words[:1] == ["--"] else words
