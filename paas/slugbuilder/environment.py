"""The environment of tools and of the app's own build steps.

In: the container's environment (config vars and what the platform sets).  Out: what subprocesses see.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

PLATFORM = Path("/opt/paas")
CA_BUNDLE = PLATFORM / "etc" / "ca-certificates.crt"
SHOWN = (
    "/etc/ssl/certs/ca-certificates.crt"  # what every container is told to trust: its own host's authorities
)
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
)

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Return this machine's, as images and buildpacks call it."""
    return MACHINES.get(platform.machine(), platform.machine())


def build_environment(
    environ: Mapping[str, str], *, home: Path, temporary: Path, stack: str, ca_bundle: Path = CA_BUNDLE
) -> dict[str, str]:
    """Config vars win over defaults, the platform over what must not be changed (HOME, TMPDIR)."""
    defaults = {
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "STACK": stack,
    }
    # The operator's network may have an authority of its own (PAAS_CA_BUNDLE): builds trust it on every host.
    trust = {name: str(ca_bundle) for name in CA_VARIABLES} if ca_bundle.is_file() else {}
    told = {
        name: value
        for name, value in environ.items()
        if (name, value) != ("SSL_CERT_FILE", SHOWN) or not trust
    }
    env = {**defaults, **trust, **told, "HOME": str(home), "TMPDIR": str(temporary)}
    env["PYTHONPATH"] = without_platform(env.get("PYTHONPATH", ""))
    if not env["PYTHONPATH"]:
        del env["PYTHONPATH"]
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONSAFEPATH"):
        env.pop(name, None)
    return env


def without_platform(python_path: str) -> str:
    """The builder's own folder is no business of the app's."""
    return os.pathsep.join(part for part in python_path.split(os.pathsep) if part and part != str(PLATFORM))
