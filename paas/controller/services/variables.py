"""What a config var may be, and an environment that is given for one run.

In: a name and a value.  Out: nothing, or InvalidParams in words.
"""

from __future__ import annotations

import re

from paas.errors import InvalidParams

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset({"PORT", "DYNO", "PS", "HOME", "LD_PRELOAD"})


def check_variable(name: str, value: str | None) -> None:
    """Raise InvalidParams unless an environment can carry `value` under `name`. None: to be removed."""
    if not NAME.fullmatch(name):
        raise InvalidParams(
            f"{name!r} cannot name a config var: letters, digits and _, not starting with a digit."
        )
    if name in RESERVED:
        raise InvalidParams(f"{name} is set by the platform and cannot be a config var.")
    if value is not None and not isinstance(value, str):
        raise InvalidParams(f"The value of {name} must be a string.")
    if value is not None and "\0" in value:
        raise InvalidParams(f"The value of {name} holds a NUL character, which no environment can carry.")
    if value is not None and not _is_text(value):
        raise InvalidParams(f"The value of {name} is not valid UTF-8.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
