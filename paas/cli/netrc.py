"""Editing ~/.netrc without disturbing what others keep there.

In: the file's text.  Out: the text with one machine's entry set or removed; everything else stays as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\S+')
MACRO_END = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Entry:
    """A `machine` (or `default`: no name) with the place of its text in the file."""

    machine: str | None
    start: int
    end: int
    password: str


def entries(text: str) -> list[Entry]:
    """Return the entries in order. Comments and macros belong to none."""
    found: list[Entry] = []
    position = 0
    while (token := TOKEN.search(text, position)) is not None:
        position = token.end()
        word = token.group()
        if word.startswith("#"):
            position = _line_end(text, token.start())
        elif word == "macdef":
            blank = MACRO_END.search(text, position)
            position = blank.end() if blank else len(text)
        elif word in ("machine", "default"):
            entry = _entry(text, token)
            found.append(entry)
            position = entry.end
    return found


def _entry(text: str, first: re.Match[str]) -> Entry:
    position, machine = first.end(), None
    if first.group() == "machine" and (name := TOKEN.search(text, position)):
        machine, position = _unquote(name.group()), name.end()
    end, password = position, ""
    while (key := TOKEN.search(text, position)) and key.group() in ("login", "password", "account", "user"):
        value = TOKEN.search(text, key.end())
        if value is None:
            break
        if key.group() == "password":
            password = _unquote(value.group())
        end = position = value.end()
    return Entry(machine, first.start(), end, password)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _unquote(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if len(word) > 1 and word[0] == word[-1] == '"' else word


def password_of(text: str, machine: str) -> str | None:
    """Return the password that is kept for a machine."""
    return next((entry.password for entry in entries(text) if entry.machine == machine), None)


def with_machine(text: str, machine: str, login: str, password: str) -> str:
    """Return the text with this entry, in the place of an older one for the same machine, else at the top.

    At the top: an entry after `default` is never looked at.
    """
    entry = f"machine {machine}\n  login {login}\n  password {password}"
    for old in entries(text):
        if old.machine == machine:
            return text[: old.start] + entry + text[old.end :]
    return f"{entry}\n{text}"


def without_machine(text: str, machine: str) -> str:
    """Return the text without the entries of a machine."""
    for old in reversed([entry for entry in entries(text) if entry.machine == machine]):
        rest = text[old.end :]
        text = text[: old.start] + (rest[1:] if rest.startswith("\n") else rest)
    return text
