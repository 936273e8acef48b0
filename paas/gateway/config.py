"""The gateway's settings.

In: `PAAS_GATEWAY_*` and the files they name.  Out: one frozen `Settings`, or every problem at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.tls import Credentials

PREFIX = "PAAS_GATEWAY_"
KNOWN = (
    "LISTEN", "WEB", "GIT", "CERTIFICATE", "PRIVATE_KEY", "TICKET_KEY_FILE", "MACHINE_FILE", "AUTHORITY_FILE"
)  # fmt: skip


class SettingsError(Exception):
    """The settings cannot be used; the text lists every problem, one a line."""


Address = tuple[str, int]


@dataclass(frozen=True)
class Settings:
    """`web` and `git` are what is behind; `credentials` is what it shows to agents, as the controller."""

    listen: Address
    web: Address
    git: Address
    certificate: Path
    private_key: Path
    ticket_key: str = field(repr=False)
    credentials: Credentials


def read_settings(env: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError naming every wrong, missing or unknown one."""
    given = {name.removeprefix(PREFIX): value for name, value in env.items() if name.startswith(PREFIX)}
    problems = [
        f"{PREFIX}{name} is not a setting of the gateway." for name in sorted(set(given) - set(KNOWN))
    ]
    problems += [f"{PREFIX}{name} is not set." for name in KNOWN if not given.get(name)]
    if problems:
        raise SettingsError("\n".join(problems))
    values: dict[str, object] = {}
    for name in KNOWN:
        try:
            values[name] = _read(name, given[name])
        except (ValueError, OSError) as error:
            problems.append(f"{PREFIX}{name}: {error}")
    if problems:
        raise SettingsError("\n".join(problems))
    listen, web, git, certificate, key, ticket_key, machine, authority = (values[name] for name in KNOWN)
    credentials = Credentials(machine, authority)  # type: ignore[arg-type]
    return Settings(listen, web, git, certificate, key, ticket_key, credentials)  # type: ignore[arg-type]


def _read(name: str, text: str) -> object:
    if name in {"LISTEN", "WEB", "GIT"}:
        return parse_address(text)
    path = Path(text)
    if name == "TICKET_KEY_FILE":
        secret = path.read_text().strip()
        if len(secret) < 16:
            raise ValueError(f"{text} must hold at least 16 characters.")
        return secret
    if not path.is_file():
        raise ValueError(f"{text} is not a file; `manage.py setup_platform` makes it.")
    return path


def parse_address(text: str) -> Address:
    """Split `host:port` (IPv6 in brackets)."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not host:port.")
    return host.strip("[]"), int(port)
