"""How an image wants to be run, in the platform's words.

In: the image's configuration and its /etc/passwd and /etc/group.  Out: a frozen `ImageSettings`. Pure.
Format: OCI image spec config.md; HEALTHCHECK is Docker's.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paas.oci.accounts import ROOT, Account, resolve
from paas.oci.errors import ImageError
from paas.oci.manifests import Platform, Wire
from runtime import shapes

DEFAULT_PORT = 8080
NANO = 1_000_000_000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")
_PORT = re.compile(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?")
_PREFERRED_PORTS = (8080, 80, 3000, 5000, 8000)
_CONFIG_MAX = 4 * 1024**2


class _Health(Wire, frozen=True, rename="pascal"):
    test: tuple[str, ...] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0


class _Container(Wire, frozen=True, rename="pascal"):
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    user: str = ""
    exposed_ports: dict[str, Any] | None = None
    volumes: dict[str, Any] | None = None
    stop_signal: str = ""
    healthcheck: _Health | None = None


class _RootFs(Wire, frozen=True, rename=None):
    diff_ids: tuple[str, ...] = ()


class Config(Wire, frozen=True, rename=None):
    """The configuration of an image, as others wrote it."""

    architecture: str = ""
    os: str = ""
    config: _Container | None = None
    rootfs: _RootFs | None = None

    @property
    def platform(self) -> Platform:
        return Platform(self.architecture, self.os)

    @property
    def container(self) -> _Container:
        return self.config or _Container()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return self.rootfs.diff_ids if self.rootfs else ()


@dataclass(frozen=True)
class ImageSettings:
    """What a prebuilt image says of itself. `argv` is what runs; `port` what it listens on when $PORT does not say.

    `path` is the HTTP path of its health check, '' when the check is none that can be asked from outside.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    account: Account = ROOT
    port: int = DEFAULT_PORT
    stop_signal: int = int(signal.SIGTERM)
    volumes: tuple[str, ...] = ()
    path: str = ""
    check: tuple[str, ...] = ()
    shell: bool = True

    @property
    def command(self) -> str:
        return shlex.join(self.argv)


def parse_config(data: bytes) -> Config:
    """Read an image's configuration. Raises ImageError."""
    if len(data) > _CONFIG_MAX:
        raise ImageError(f"The image's configuration has {len(data)} bytes; at most {_CONFIG_MAX} are taken.")
    try:
        return shapes.decode(data, Config)
    except ValueError as error:
        raise ImageError(f"The image's configuration cannot be read ({error}).") from error


def map_settings(config: Config, passwd: str, group: str, *, shell: bool) -> ImageSettings:
    """Return how to run an image. `shell`: it has a /bin/sh. Raises ImageError for what cannot be run."""
    container = config.container
    argv = (*(container.entrypoint or ()), *(container.cmd or ()))
    if not argv or not argv[0] or any("\0" in word for word in argv):
        raise ImageError(
            "The image names no program to run: give it a CMD or an ENTRYPOINT.", id="image_no_command"
        )
    env = parse_env(container.env or ())
    account = resolve(container.user, passwd, group)
    check = _probe(container.healthcheck)
    return ImageSettings(
        argv=argv,
        env={**({"HOME": account.home} if "HOME" not in env else {}), **env},
        cwd=clean_path(container.working_dir) if container.working_dir else "/",
        account=account,
        port=choose_port(env, container.exposed_ports or {}),
        stop_signal=parse_signal(container.stop_signal),
        volumes=tuple(sorted(clean_path(path) for path in container.volumes or {})),
        path=http_path(check),
        check=check,
        shell=shell,
    )


def parse_env(lines: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=value` lines; the last of a name counts. Raises ImageError for what is no variable."""
    values: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ImageError(f"The image sets {name[:80]!r}, which cannot be an environment variable.")
        values[name] = value
    return values


def clean_path(path: str) -> str:
    """Return an absolute path of an image without `.`, `..` and doubled slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def choose_port(env: Mapping[str, str], exposed: Mapping[str, Any]) -> int:
    """Return the port an image listens on: its own PORT, else one it exposes (usual ones first), else 8080.

    $PORT is set to it, so that it is right both for programs that read $PORT and for those that do not.
    """
    own = env.get("PORT", "")
    if own.isascii() and own.isdigit() and 0 < int(own) < 65536:
        return int(own)
    matches = (_PORT.fullmatch(text) for text in exposed)
    ports = sorted(
        int(match[1])
        for match in matches
        if match and match[2] in (None, "tcp") and 0 < int(match[1]) < 65536
    )
    return next((port for port in _PREFERRED_PORTS if port in ports), ports[0] if ports else DEFAULT_PORT)


def parse_signal(text: str) -> int:
    """Return the number of a signal written as `SIGQUIT`, `QUIT` or `3`; SIGTERM for ''. Raises ImageError."""
    if not text:
        return int(signal.SIGTERM)
    try:
        number = int(text) if text.isdigit() else signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
        return int(signal.Signals(number))
    except (KeyError, ValueError):
        raise ImageError(f"The image's STOPSIGNAL {text[:40]!r} is no signal of Linux.") from None


def _probe(health: _Health | None) -> tuple[str, ...]:
    """Return the command of a HEALTHCHECK, through a shell where the image says so; () without one."""
    test = health.test if health and health.test else ()
    if len(test) < 2 or test[0] == "NONE":
        return ()
    return ("/bin/sh", "-c", test[1]) if test[0] == "CMD-SHELL" else test[1:] if test[0] == "CMD" else ()


def http_path(check: tuple[str, ...]) -> str:
    """Return the path that a check by curl or wget asks for, '' for any other check."""
    text = check[-1] if check[:2] == ("/bin/sh", "-c") else shlex.join(check)
    try:
        words = shlex.split(text.partition("||")[0].partition("&&")[0])
    except ValueError:
        return ""
    if not words or words[0].rpartition("/")[2] not in ("curl", "wget"):
        return ""
    found = [
        re.fullmatch(r"http://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::[^/\s]*)?(/[!-~]*)?", w) for w in words
    ]
    paths = [match[1] or "/" for match in found if match]
    return paths[0][:500] if len(paths) == 1 else ""
