"""Who an image's program runs as.

In: USER of an image (`name`, `1000`, `name:group`, `1000:1000`), its /etc/passwd and /etc/group.  Out: numbers. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paas.oci.errors import ImageError

ID_MAX = 65535  # what the user namespace of an app maps


@dataclass(frozen=True)
class Account:
    """Ids inside the container, and the home directory that /etc/passwd gives."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


ROOT = Account()


def resolve(user: str, passwd: str, group: str) -> Account:
    """Return the account that USER means; '' is root. Raises ImageError for a name that the image does not have."""
    name, _, group_name = user.strip().partition(":")
    known = next((row for row in _rows(passwd, 7) if name and (row[0] == name)), None)
    if known is None and (number := _number(name or "0")) is not None:
        known = next((row for row in _rows(passwd, 7) if row[2] == str(number)), None)
        uid = number
    elif known is not None:
        uid = int(known[2])
    else:
        raise ImageError(
            f"The image runs as the user {name[:80]!r}, which its /etc/passwd does not have; use a number."
        )
    gid = _gid(group_name, group) if group_name else int(known[3]) if known else 0
    groups = () if group_name or not known else _groups(known[0], gid, group)
    for number in (uid, gid, *groups):
        if number > ID_MAX:
            raise ImageError(
                f"The image runs with the id {number}; ids inside a container go up to {ID_MAX}."
            )
    return Account(uid, gid, groups, (known[5] or "/") if known else "/")


def _gid(name: str, group: str) -> int:
    row = next((row for row in _rows(group, 4) if row[0] == name), None)
    number = int(row[2]) if row else _number(name)
    if number is None:
        raise ImageError(
            f"The image runs with the group {name[:80]!r}, which its /etc/group does not have; use a number."
        )
    return number


def _groups(name: str, gid: int, group: str) -> tuple[int, ...]:
    members = (int(row[2]) for row in _rows(group, 4) if name in row[3].split(","))
    return tuple(sorted({number for number in members if number != gid}))


def _rows(text: str, columns: int) -> Iterator[list[str]]:
    """Yield the well-formed lines of a file like /etc/passwd; columns 3 (and 4 of passwd) are numbers."""
    for line in text.splitlines():
        row = line.split(":")
        numbers = row[2:4] if columns == 7 else row[2:3]
        if len(row) >= columns and all(_number(number) is not None for number in numbers):
            yield row


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
