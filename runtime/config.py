"""The agent's settings, read once.

In: the environment (`PAAS_AGENT_*`) and the token files it names.  Out: a frozen `Settings`, or every problem at once.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from runtime.container.runtimes import read_setting
from runtime.tls import Credentials

T = TypeVar("T")
PREFIX = "PAAS_AGENT_"
OVERLAYS = ("auto", "routes", "vxlan", "wireguard", "none")
DEFAULTS = {
    "HOME": "/var/lib/paas-agent",
    "LISTEN": "127.0.0.1:5010",
    "HOST_ID": "",
    "TOKEN_FILE": "",
    "CONTROLLER": "",
    "CONTROLLER_TOKEN_FILE": "",
    "MACHINE_FILE": "",
    "AUTHORITY_FILE": "",
    "VERSION": "",
    "SUBNET": "10.87.0.0/20",
    "TAG": "paas",
    "BLOCKED": "",
    "OVERLAY": "auto",
    "UNDERLAY": "",
    "CA_BUNDLE": "",
    "RUNTIME": "crun",
    "RUNTIMES": "",
    "SECCOMP_DIR": "/etc/paas/seccomp",
    "HOOKS_DIR": "/etc/paas/hooks.d",
    "CNI": "",
    "CNI_CONF_DIR": "/etc/cni/net.d",
    "CNI_BIN_DIR": "/usr/lib/cni",
    "CNI_SECONDS": "30",
    "IMAGES_MAX_BYTES": "10GiB",
    "IMAGES_KEEP_HOURS": "24",
    "CACHES_MAX_BYTES": "20GiB",
    "CACHES_KEEP_DAYS": "30",
    "DISK_FREE_MIN": "",
    "ENDED_KEEP_MINUTES": "60",
}


class SettingsError(Exception):
    """The settings cannot be used; the text lists every problem, one a line."""


@dataclass(frozen=True)
class Settings:
    """What one agent is told. Tokens are kept out of `repr`. With `credentials` (mutual TLS) there are none."""

    home: Path
    listen_host: str
    listen_port: int
    host_id: str
    token: str = field(repr=False)
    controller: str
    controller_token: str = field(repr=False)
    credentials: Credentials | None
    version: str
    subnet: str
    tag: str
    blocked: tuple[str, ...]
    overlay: str
    underlay: str
    ca_bundle: Path | None
    runtime: str
    runtimes: tuple[tuple[str, str], ...] | None
    seccomp_dir: Path
    hooks_dirs: tuple[Path, ...]
    cni: str
    cni_conf_dir: Path
    cni_bin_dir: Path
    cni_seconds: float
    images_max_bytes: int
    images_keep_hours: float
    caches_max_bytes: int
    caches_keep_days: float
    disk_free_min: int | float | None
    ended_keep_minutes: float

    @property
    def state(self) -> Path:
        """The agent's own folder (mode 0700) beside the engine's."""
        return self.home / "agent"


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read `PAAS_AGENT_*`. Raises `SettingsError` naming every wrong, missing or unknown setting."""
    given = {name.removeprefix(PREFIX): value for name, value in env.items() if name.startswith(PREFIX)}
    problems = [
        f"{PREFIX}{name} is not a setting. Known: {', '.join(PREFIX + known for known in DEFAULTS)}."
        for name in sorted(set(given) - set(DEFAULTS))
    ]
    values = {name: given.get(name, default).strip() for name, default in DEFAULTS.items()}

    def read(name: str, parse: Callable[[str], T], fallback: T) -> T:
        try:
            return parse(values[name])
        except ValueError as error:
            problems.append(f"{PREFIX}{name}: {error}")
            return fallback

    host, port = read("LISTEN", parse_listen, ("", 0))
    controller = read("CONTROLLER", _controller, "")
    machine = read("MACHINE_FILE", _optional_file, None)
    authority = read("AUTHORITY_FILE", _optional_file, None)
    secured = bool(values["MACHINE_FILE"])
    if secured != bool(values["AUTHORITY_FILE"]):
        problems.append(f"{PREFIX}MACHINE_FILE and {PREFIX}AUTHORITY_FILE go together: set both.")
    if secured != controller.startswith("https:") and controller:
        problems.append(f"{PREFIX}CONTROLLER: https:// and {PREFIX}MACHINE_FILE go together.")
    settings = Settings(
        home=read("HOME", _home, Path("/")),
        listen_host=host,
        listen_port=port,
        host_id=read("HOST_ID", _host_id, ""),
        token="" if secured else read("TOKEN_FILE", _token, ""),
        controller=controller,
        controller_token=read("CONTROLLER_TOKEN_FILE", _token, "") if controller and not secured else "",
        credentials=_credentials(machine, authority),
        version=values["VERSION"],
        subnet=read("SUBNET", _subnet, ""),
        tag=read("TAG", _tag, ""),
        blocked=read("BLOCKED", _networks, ()),
        overlay=read("OVERLAY", _overlay, ""),
        underlay=read("UNDERLAY", _optional_address, ""),
        ca_bundle=read("CA_BUNDLE", _optional_file, None),
        runtime=values["RUNTIME"] or DEFAULTS["RUNTIME"],
        runtimes=read("RUNTIMES", _runtimes, None),
        hooks_dirs=read("HOOKS_DIR", _folders, ()),
        cni=values["CNI"],
        cni_conf_dir=read("CNI_CONF_DIR", _home, Path("/")),
        cni_bin_dir=read("CNI_BIN_DIR", _home, Path("/")),
        cni_seconds=read("CNI_SECONDS", _seconds, 0.0),
        seccomp_dir=read("SECCOMP_DIR", _home, Path("/")),
        images_max_bytes=read("IMAGES_MAX_BYTES", parse_bytes, 0),
        images_keep_hours=read("IMAGES_KEEP_HOURS", _span, 0.0),
        caches_max_bytes=read("CACHES_MAX_BYTES", parse_bytes, 0),
        caches_keep_days=read("CACHES_KEEP_DAYS", _span, 0.0),
        disk_free_min=read("DISK_FREE_MIN", _bytes_or_share, None),
        ended_keep_minutes=read("ENDED_KEEP_MINUTES", _span, 0.0),
    )
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _credentials(machine: Path | None, authority: Path | None) -> Credentials | None:
    return Credentials(machine, authority) if machine and authority else None


def parse_listen(text: str) -> tuple[str, int]:
    """Split `host:port` (IPv6 in brackets); port 0 lets the kernel choose."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"'{text}' is not host:port; write for example 127.0.0.1:5010.")
    return host.strip("[]"), int(port)


def parse_bytes(text: str) -> int:
    """Read a size: bytes, or a number with KiB, MiB, GiB or TiB."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?) ?(K|M|G|T)?(iB|B)?", text)
    if match is None:
        raise ValueError(f"'{text}' is not a size; write bytes or for example 10GiB.")
    return int(float(match[1]) * 1024 ** (" KMGT".index(match[2]) if match[2] else 0))


def _span(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise ValueError(f"'{text}' is not a number of hours or days.")
    return float(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or not float(text):
        raise ValueError(f"'{text}' is not a number of seconds above 0.")
    return float(text)


def _bytes_or_share(text: str) -> int | float | None:
    """'' means the default; '5%' a share of the disk, returned as 0.05; else a size."""
    if not text:
        return None
    share = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?) ?%", text)
    if share is None:
        return parse_bytes(text)
    if float(share[1]) > 100:
        raise ValueError(f"'{text}' is more than the whole disk.")
    return float(share[1]) / 100


def _home(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError(f"'{text}' must be an absolute path.")
    return Path(text)


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(_home(part.strip()) for part in text.split(",") if part.strip())


def _host_id(text: str) -> str:
    text = text or socket.gethostname()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text):
        raise ValueError(f"'{text}' may hold only letters, digits, dot, dash and underscore (at most 63).")
    return text


def _token(text: str) -> str:
    if not text:
        raise ValueError("is missing: name a file (mode 0600) that holds the bearer token.")
    path = Path(text)
    try:
        mode = path.stat().st_mode
        token = path.read_text().strip()
    except OSError as error:
        raise ValueError(f"cannot read {text}: {error.strerror}.") from error
    if mode & 0o077:
        raise ValueError(f"{text} can be read by others; run: chmod 600 {text}")
    if len(token) < 16:
        raise ValueError(f"{text} holds fewer than 16 characters; put a random token in it.")
    return token


def _controller(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError(f"'{text}' is not a base URL such as http://127.0.0.1:5000.")
    return text.rstrip("/")


def _subnet(text: str) -> str:
    network = ipaddress.IPv4Network(text)
    if network.prefixlen > 28:
        raise ValueError(f"{text} is too small; give a /28 or larger.")
    return str(network)


def _tag(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", text):
        raise ValueError(f"'{text}' must be 1 to 8 lower case letters and digits, a letter first.")
    return text


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ipaddress.IPv4Network(part.strip())) for part in text.split(",") if part.strip())


def _overlay(text: str) -> str:
    if text not in OVERLAYS:
        raise ValueError(f"'{text}' is none of {', '.join(OVERLAYS)}.")
    return text


def _optional_address(text: str) -> str:
    return str(ipaddress.IPv4Address(text)) if text else ""


def _optional_file(text: str) -> Path | None:
    if text and not Path(text).is_file():
        raise ValueError(f"{text} is not a file.")
    return Path(text) if text else None


def _runtimes(text: str) -> tuple[tuple[str, str], ...] | None:
    chosen = read_setting(text)
    return None if chosen is None else tuple(chosen.items())
