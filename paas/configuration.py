"""The platform's settings, read once from the environment.

In: `PAAS_*` variables.  Out: one frozen `Configuration`, or one error that names every problem at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from runtime.tls import Credentials

# Variables of the other processes, read by their own configuration modules.
FOREIGN_PREFIXES = ("PAAS_AGENT_", "PAAS_ROUTER_", "PAAS_TEST_", "PAAS_CLI_")
FOREIGN = {"PAAS_HAPROXY", "PAAS_APP", "PAAS_URL", "PAAS_TOKEN"}


class ConfigurationError(Exception):
    """Settings that cannot be used. The text lists every problem, one a line."""


@dataclass(frozen=True)
class Configuration:
    """Every setting of the control plane; the field's name in capitals with `PAAS_` before it is its variable."""

    home: Path = Path("/var/lib/paas")  # data folder
    domain: str = "localhost"  # apps answer at APP.DOMAIN
    bind: str = "127.0.0.1"  # address of the API, git and router ports
    api_port: int = 5000
    git_port: int = 5001
    router_port: int = 8080
    agent_port: int = 5010
    router_control_port: int = 5020
    machine_port: int = 5444  # mutual TLS, for agents and routers; without the variable 444 above the API's
    machine_bind: str = (
        ""  # its address ("": that of the other ports); others than this machine need it to join
    )
    gateway_port: int = (
        5443  # TLS: API, dashboard, git, attached runs; without the variable 443 above the API's
    )
    public_host: str = "localhost"  # the host name in the URLs that users see
    stack: str = "debian-13"  # stack of new apps
    debian_mirror: str = ""  # where stacks are made from ("": Debian's default)
    agent_subnet: str = ""  # addresses of the containers ("": derived from the data folder)
    ca_bundle: Path = Path("/etc/ssl/certs/ca-certificates.crt")  # shown to builds and apps if it exists
    web_threads: int = 48
    git_workers: int = 1
    git_threads: int = 16
    worker_threads: int = 10
    build_concurrency: int = 2  # builds at once over all apps; must stay under worker_threads
    build_timeout: int = 1800  # seconds
    buildpack_schemes: str = "https"  # by which third-party buildpacks may come: https, http, file
    source_networks: str = (
        ""  # not public, and may be called for sources: 10.1.0.0/16, for a git server there
    )
    pip_index_url: str = (
        ""  # where builds get Python packages from ("": PyPI); an app's own PIP_INDEX_URL wins
    )
    npm_registry: str = ""  # the same for Node.js and NPM_CONFIG_REGISTRY
    boot_timeout: int = 60  # seconds for a web process to bind to its port (R10)
    drain_timeout: int = 30  # seconds for requests in flight on an old instance
    git_max_pack: int = 512 * 1024**2  # bytes of one push
    git_quota: int = 2048 * 1024**2  # bytes of one app's repository
    insecure_registries: str = (
        ""  # HOST:PORT of registries that are spoken to without TLS, separated by spaces
    )
    image_max: int = 4 * 1024**3  # bytes of an imported or pushed image's layers; three times that unpacked
    registry_quota: int = 20 * 1024**3  # bytes of pushed blobs of one app
    registry_cache: int = 10 * 1024**3  # bytes of releases converted for those who pull them
    releases_kept: int = 500
    config_max_bytes: int = 64 * 1024
    admin_email: str = "admin@localhost"
    admin_password: str = ""  # made at first start when empty
    debug: bool = False

    @property
    def api_url(self) -> str:
        return f"http://{self.public_host}:{self.api_port}"

    @property
    def gateway_url(self) -> str:
        return f"https://{self.public_host}:{self.gateway_port}"

    @property
    def ca_file(self) -> Path:
        """The certificate of the platform's own authority, for clients of the gateway."""
        return self.home / "ca" / "ca.pem"

    @property
    def own_ca_bundle(self) -> Path | None:
        """The operator's authorities; None where they are this host's, which SSL_CERT_FILE may name, too."""
        return None if self.ca_bundle == Configuration.ca_bundle else self.ca_bundle

    def credentials(self, name: str) -> Credentials:
        """What a part of this box shows to the others: `controller`, `agent` or `router`."""
        return Credentials(self.home / "machines" / f"{name}.pem", self.ca_file)

    @property
    def machine_address(self) -> tuple[str, int]:
        """Where the controller listens for agents and routers."""
        return self.machine_bind or self.bind, self.machine_port

    @property
    def git_url(self) -> str:
        return f"http://{self.public_host}:{self.git_port}"

    @property
    def router_url(self) -> str:
        return f"http://{self.domain}:{self.router_port}"

    @property
    def redis_url(self) -> str:
        return os.environ.get("REDIS_URL") or f"unix://{self.home}/run/redis.sock"

    def app_url(self, host: str) -> str:
        """Return the URL that a browser opens for a host name of an app, ending in a slash."""
        port = "" if self.router_port == 80 else f":{self.router_port}"
        return f"http://{host}{port}/"


def _parse(name: str, kind: str, text: str) -> object:
    if kind == "int":
        number = int(text)
        if number < 0:
            raise ValueError("must not be negative")
        return number
    if kind == "bool":
        if text.lower() not in {"0", "1", "true", "false", "yes", "no", ""}:
            raise ValueError("must be 1 or 0")
        return text.lower() in {"1", "true", "yes"}
    if kind == "Path":
        path = Path(text)
        if not path.is_absolute():
            raise ValueError("must be an absolute path")
        return path
    return text


def read(environ: Mapping[str, str]) -> Configuration:
    """Return the configuration in `environ`. Raises ConfigurationError naming every bad and unknown variable."""
    known = {f"PAAS_{field.name.upper()}": field for field in fields(Configuration)}
    values: dict[str, object] = {}
    problems: list[str] = []
    for variable, text in sorted(environ.items()):
        if not variable.startswith("PAAS_"):
            continue
        field = known.get(variable)
        if field is None:
            if variable not in FOREIGN and not variable.startswith(FOREIGN_PREFIXES):
                problems.append(f"{variable} is not a setting; docs/operations.md lists them.")
            continue
        try:
            values[field.name] = _parse(field.name, str(field.type), text)
        except ValueError as error:
            problems.append(f"{variable}={text!r} cannot be used: {error}.")
    if problems:
        raise ConfigurationError("\n".join(problems))
    settings = Configuration(**values)  # type: ignore[arg-type]
    if "gateway_port" not in values:
        settings = replace(settings, gateway_port=_port_near(settings.api_port, 443))
    if "machine_port" not in values:
        settings = replace(settings, machine_port=_port_near(settings.api_port, 444))
    return settings


def _port_near(api_port: int, distance: int) -> int:
    """Platforms side by side have different API ports; so their other ports differ without being told."""
    return api_port + distance if api_port + distance <= 65535 else api_port - distance


@cache
def configuration() -> Configuration:
    """Return the configuration of this process."""
    return read(os.environ)
