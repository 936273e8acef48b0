"""What app.json declares besides health checks: config vars, formation, buildpacks, scripts, scheduled commands.

In: the file's bytes.  Out: a frozen `Declared`, or a BuildError that names the key. Unknown keys are left alone, as
every tool adds its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .app_json import read_document
from .errors import BuildError

FILE = "app.json"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
POLICIES = ("allow", "forbid", "replace")
MOST = 100
LONGEST = 4000
QUANTITY_MOST = 100


@dataclass(frozen=True)
class Variable:
    """A config var. `value` None: none is given; `generated`: a secret is made up for it."""

    name: str
    value: str | None = None
    generated: bool = False
    required: bool = False
    description: str = ""


@dataclass(frozen=True)
class Cron:
    command: str
    schedule: str
    policy: str = "allow"
    maintenance: bool = False


@dataclass(frozen=True)
class Declared:
    """`formation`: type to {"quantity", "size"}, either may be missing. `scripts`: predeploy and deployed (Dokku's,
    before and after each deploy), postdeploy (Heroku's, once)."""

    env: tuple[Variable, ...] = ()
    formation: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    buildpacks: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    cron: tuple[Cron, ...] = ()
    stack: str = ""
    addons: tuple[str, ...] = ()


def parse_declared(data: bytes) -> Declared:
    """Read app.json. Raises BuildError `app_json_invalid`."""
    document = read_document(data)
    return Declared(
        env=tuple(_variable(name, entry) for name, entry in _object(document, "env").items()),
        formation=_formation(document.get("formation")),
        buildpacks=tuple(_buildpack(entry) for entry in _list(document, "buildpacks")),
        scripts=_scripts(_object(document, "scripts")),
        cron=tuple(_cron(number, entry) for number, entry in enumerate(_list(document, "cron"), start=1)),
        stack=document["stack"] if isinstance(document.get("stack"), str) else "",
        addons=tuple(_addon(entry) for entry in _list(document, "addons")),
    )


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict) or len(found) > MOST:
        raise _invalid(f"`{key}` must be an object of at most {MOST} entries")
    return found


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > MOST:
        raise _invalid(f"`{key}` must be a list of at most {MOST} entries")
    return found


def _variable(name: str, entry: object) -> Variable:
    if not VARIABLE.fullmatch(name):
        raise _invalid(f"`env` names {name[:80]!r}, which cannot name a config var")
    if isinstance(entry, dict):
        generator = entry.get("generator")
        if generator not in (None, "secret"):
            raise _invalid(f'the generator of `env.{name}` must be "secret"')
        value = entry.get("value")
        words = entry.get("description")
        return Variable(
            name,
            None if value is None else _value(name, value),
            generator == "secret",
            entry.get("required") is True,
            words[:300] if isinstance(words, str) else "",
        )
    return Variable(name, _value(name, entry))


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise _invalid(f"the value of `env.{name}` must be text")
    return value


def _formation(found: object) -> dict[str, dict[str, Any]]:
    """By type, or as the list that Heroku's first version had."""
    if found is None:
        return {}
    if isinstance(found, list):
        found = {str(one.get("process")): one for one in found if isinstance(one, dict)}
    if not isinstance(found, dict) or len(found) > MOST:
        raise _invalid(f"`formation` must be an object of at most {MOST} process types")
    return {name: _entry(name, entry) for name, entry in found.items()}


def _entry(name: str, entry: object) -> dict[str, Any]:
    if not TYPE.fullmatch(name) or not isinstance(entry, dict):
        raise _invalid(f"`formation.{name[:80]}` must be an object for a process type")
    made: dict[str, Any] = {}
    quantity, size = entry.get("quantity"), entry.get("size")
    if quantity is not None:
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity <= QUANTITY_MOST:
            raise _invalid(
                f"the quantity of `formation.{name}` must be a whole number from 0 to {QUANTITY_MOST}"
            )
        made["quantity"] = quantity
    if size is not None:
        if not isinstance(size, str) or len(size) > 63:
            raise _invalid(f"the size of `formation.{name}` must be a name, such as standard-1x")
        made["size"] = size.lower()
    return made


def _buildpack(entry: object) -> str:
    url = entry.get("url") if isinstance(entry, dict) else entry
    if not isinstance(url, str) or not url.strip():
        raise _invalid('each of `buildpacks` must be an object such as {"url": "heroku/python"}')
    return url.strip().removeprefix("urn:buildpack:")


def _scripts(found: Mapping[str, Any]) -> dict[str, str]:
    dokku = found.get("dokku") if isinstance(found.get("dokku"), dict) else {}
    assert isinstance(dokku, dict)
    named = {
        "postdeploy": found.get("postdeploy"),
        "predeploy": dokku.get("predeploy"),
        "deployed": dokku.get("postdeploy"),
    }
    return {name: _command(f"scripts: {name}", words) for name, words in named.items() if words}


def _command(where: str, words: object) -> str:
    words = words.get("command") if isinstance(words, dict) else words
    if not isinstance(words, str) or not words.strip() or "\0" in words or len(words) > LONGEST:
        raise _invalid(f"the command of `{where}` must be text of at most {LONGEST} characters")
    return words.strip()


def _cron(number: int, entry: object) -> Cron:
    if not isinstance(entry, dict):
        raise _invalid('each of `cron` must be an object such as {"command": "task", "schedule": "@daily"}')
    schedule, policy = entry.get("schedule"), entry.get("concurrency_policy", "allow")
    if not isinstance(schedule, str) or not schedule.strip() or len(schedule) > 200:
        raise _invalid(f'entry {number} of `cron` has no schedule, such as "*/5 * * * *"')
    if policy not in POLICIES:
        raise _invalid(
            f"the concurrency_policy of entry {number} of `cron` must be one of: {', '.join(POLICIES)}"
        )
    command = _command(f"cron, entry {number}", entry.get("command"))
    return Cron(command, " ".join(schedule.split()), policy, entry.get("maintenance") is True)


def _addon(entry: object) -> str:
    name = entry.get("plan") if isinstance(entry, dict) else entry
    return name if isinstance(name, str) else "without a name"


def _invalid(what: str) -> BuildError:
    return BuildError(
        "app_json_invalid", f"app.json cannot be used: {what}.", hint="Correct it and push again."
    )
