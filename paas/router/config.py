"""The router's settings. In: environment variables and the token files they name. Out: one frozen `Settings`.

Every problem is collected and reported at once; a `PAAS_ROUTER_` variable nobody knows is a problem, not a silence.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runtime.tls import Credentials

T = TypeVar("T")

KNOWN = frozenset(
    {
        "PAAS_ROUTER_HOME",
        "PAAS_ROUTER_BIND",
        "PAAS_ROUTER_LISTEN",
        "PAAS_ROUTER_ID",
        "PAAS_ROUTER_TOKEN_FILE",
        "PAAS_ROUTER_CONTROLLER",
        "PAAS_ROUTER_CONTROLLER_TOKEN_FILE",
        "PAAS_ROUTER_MACHINE_FILE",
        "PAAS_ROUTER_AUTHORITY_FILE",
        "PAAS_ROUTER_PLATFORM_HOST",
        "PAAS_ROUTER_PLATFORM_BACKEND",
        "PAAS_ROUTER_THREADS",
    }
)
HOST_PORT = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9*._-]+):(\d{1,5})$")


class SettingsError(Exception):
    """The environment is not usable. `problems` has one sentence per wrong or missing variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the router cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class HostPort:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """`binds` carry the traffic, `listen` the control API. `platform_*` route one host name to the web process. With
    `credentials` (mutual TLS) there are no tokens."""

    home: Path
    id: str
    binds: tuple[HostPort, ...]
    listen: HostPort
    token: str
    controller: str
    controller_token: str
    credentials: Credentials | None = None
    haproxy: str = "auto"
    platform_host: str = ""
    platform_backend: HostPort | None = None
    threads: int = 1


def parse_host_port(text: str) -> HostPort:
    """Read `host:port`. Raises ValueError with a sentence."""
    match = HOST_PORT.match(text.strip())
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError(f"{text!r} is not host:port")
    return HostPort(match[1].strip("[]"), int(match[2]))


class _Reader:
    """Reads variables one by one and remembers what was wrong with each."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def value(self, name: str, parse: Callable[[str], T], fallback: T, *, default: str = "") -> T:
        text = self.env.get(name, "") or default
        if not text:
            self.problems.append(f"{name} is not set")
            return fallback
        try:
            return parse(text)
        except (ValueError, OSError) as error:
            self.problems.append(f"{name}: {error}")
            return fallback


def read_settings(env: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError with every problem."""
    reader = _Reader(env)
    nowhere = HostPort("", 0)
    secured = bool(env.get("PAAS_ROUTER_MACHINE_FILE"))
    settings = Settings(
        home=reader.value("PAAS_ROUTER_HOME", _absolute, Path()),
        id=reader.value("PAAS_ROUTER_ID", _identifier, "", default=_host_id()),
        binds=reader.value("PAAS_ROUTER_BIND", _host_ports, (), default="127.0.0.1:8080"),
        listen=reader.value("PAAS_ROUTER_LISTEN", parse_host_port, nowhere, default="127.0.0.1:5020"),
        token="" if secured else reader.value("PAAS_ROUTER_TOKEN_FILE", _secret, ""),
        controller=reader.value("PAAS_ROUTER_CONTROLLER", _base_url, ""),
        controller_token="" if secured else reader.value("PAAS_ROUTER_CONTROLLER_TOKEN_FILE", _secret, ""),
        credentials=_credentials(reader) if secured else None,
        haproxy=env.get("PAAS_HAPROXY", "") or "auto",
        platform_host=env.get("PAAS_ROUTER_PLATFORM_HOST", "").lower(),
        platform_backend=_platform_backend(reader, env),
        threads=reader.value("PAAS_ROUTER_THREADS", _threads, 1, default="1"),
    )
    unknown = sorted(name for name in env if name.startswith("PAAS_ROUTER_") and name not in KNOWN)
    problems = reader.problems + [f"{name} is not a setting of the router" for name in unknown]
    if problems:
        raise SettingsError(problems)
    return settings


def _credentials(reader: _Reader) -> Credentials:
    nothing = Path()
    machine = reader.value("PAAS_ROUTER_MACHINE_FILE", _file, nothing)
    return Credentials(machine, reader.value("PAAS_ROUTER_AUTHORITY_FILE", _file, nothing))


def _platform_backend(reader: _Reader, env: Mapping[str, str]) -> HostPort | None:
    host, backend = env.get("PAAS_ROUTER_PLATFORM_HOST", ""), env.get("PAAS_ROUTER_PLATFORM_BACKEND", "")
    if bool(host) != bool(backend):
        reader.problems.append(
            "PAAS_ROUTER_PLATFORM_HOST and PAAS_ROUTER_PLATFORM_BACKEND go together: set both"
        )
    if host and not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host):
        reader.problems.append(f"PAAS_ROUTER_PLATFORM_HOST: {host!r} is not a host name")
    return reader.value("PAAS_ROUTER_PLATFORM_BACKEND", parse_host_port, None) if host and backend else None


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"{text!r} must be an absolute path")
    return path


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError(f"{text} is not a file")
    return Path(text)


def _host_id() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "router"


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError(f"{text!r} may have only letters, digits, dots, dashes and underscores (at most 64)")
    return text


def _host_ports(text: str) -> tuple[HostPort, ...]:
    return tuple(parse_host_port(part) for part in text.split(",") if part.strip())


def _base_url(text: str) -> str:
    if not re.match(r"^https?://[^/\s]+", text):
        raise ValueError(f"{text!r} is not a http:// or https:// URL")
    return text.rstrip("/")


def _secret(path: str) -> str:
    secret = Path(path).read_text(encoding="ascii").strip()
    if len(secret) < 16:
        raise ValueError(f"the file {path} must hold a token of at least 16 characters")
    return secret


def _threads(text: str) -> int:
    threads = int(text)
    if not 1 <= threads <= 64:
        raise ValueError("must be between 1 and 64")
    return threads
