"""What a tool's failure means, as a table.

In: rules, what a tool printed.  Out: a BuildError of the first rule that fits: what happened, the cause, the next step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .errors import BuildError

Lines = Callable[[str], tuple[str, ...]]


def no_lines(text: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Rule:
    """`pattern` is searched in the whole output; `{NAME}` in message and hint is a group of it, or a given value.

    `details` picks the lines that tell the cause.
    """

    pattern: re.Pattern[str]
    error_id: str
    message: str
    hint: str = ""
    details: Lines = no_lines


def rule(pattern: str, error_id: str, message: str, hint: str = "", details: Lines = no_lines) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE | re.MULTILINE), error_id, message, hint, details)


def explain(rules: Iterable[Rule], text: str, **values: str) -> BuildError | None:
    """Return the error of the first rule that fits, None when none does."""
    for one in rules:
        found = one.pattern.search(text)
        if found is not None:
            groups = {name: squeezed(value or "") for name, value in found.groupdict().items()}
            known = {**values, **groups}
            return BuildError(
                one.error_id,
                squeezed(one.message.format(**known)),
                details=one.details(text),
                hint=one.hint.format(**known),
            )
    return None


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
