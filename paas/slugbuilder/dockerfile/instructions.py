"""Where in a Dockerfile something stands.

In: a Dockerfile's text, and a step as buildah prints it.  Out: its line, or the names of base images. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_FROM = re.compile(r"FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_HEREDOC = re.compile(r"(?:RUN|COPY|ADD)\s(?:.*\s)?<<-?[\"']?[A-Za-z_]\w*", re.IGNORECASE)
_COPY_FROM = re.compile(r"(?:COPY|ADD)\s.*?--from=(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """`line` counts from 1; `text` is it on one line, without comments."""

    line: int
    text: str


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile, continued lines joined."""
    escape, begun, parts = "\\", 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not parts and (match := _DIRECTIVE.match(line)):
            escape = match[1]
        if not line or line.startswith("#"):
            continue
        begun = begun if parts else number
        goes_on = line.endswith(escape)
        parts.append(line.removesuffix(escape) if goes_on else line)
        if not goes_on:
            yield Instruction(begun, squeezed(" ".join(parts)))
            parts = []
    if parts:
        yield Instruction(begun, squeezed(" ".join(parts)))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def find(text: str, step: str) -> Instruction | None:
    """Return the instruction that a builder's step was made of; None when it does not show."""
    wanted = squeezed(step).lower()
    return next((one for one in instructions(text) if one.text.lower() == wanted), None)


def heredoc(text: str) -> Instruction | None:
    """Return the first instruction with a heredoc, which only BuildKit knows."""
    return next((one for one in instructions(text) if _HEREDOC.match(one.text)), None)


def declared(text: str) -> set[str]:
    """Return the names of a Dockerfile's build arguments."""
    found = (
        match[1] for one in instructions(text) if (match := re.match(r"ARG\s+(.*)", one.text, re.IGNORECASE))
    )
    return {word.partition("=")[0] for words in found for word in words.split()}


def base_images(text: str) -> list[str]:
    """Return what FROM and COPY --from name, as written, without the Dockerfile's own stages."""
    stages: set[str] = set()
    found: list[str] = []
    for one in instructions(text):
        match = _FROM.match(one.text)
        named = match[1] if match else copied[1] if (copied := _COPY_FROM.match(one.text)) else ""
        if named and named.lower() not in stages and not named.isdigit():
            found.append(named)
        if match and match[2]:
            stages.add(match[2].lower())
    return list(dict.fromkeys(found))
