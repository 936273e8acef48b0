"""The stacks that can be made: which Debian, which packages.

In: a name.  Out: a frozen definition. Package names are those that all three releases share.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

# What apps load at run time: interpreters, certificates, client libraries of the usual extensions, a static server.
RUN_PACKAGES = (
    "bash", "ca-certificates", "curl", "iproute2", "libffi8", "libjpeg62-turbo", "libmariadb3", "libpq5",
    "libsqlite3-0", "libxslt1.1", "libyaml-0-2", "media-types", "netbase", "nginx-light", "nodejs", "openssl",
    "procps", "python3", "tzdata",
)  # fmt: skip

# What only building needs: compilers, headers, npm, git.
BUILD_PACKAGES = (
    "build-essential", "git", "libffi-dev", "libjpeg-dev", "libmariadb-dev", "libpq-dev", "libsqlite3-dev",
    "libssl-dev", "libxml2-dev", "libxslt1-dev", "libyaml-dev", "npm", "pkg-config", "python3-dev",
    "python3-venv", "xz-utils", "zlib1g-dev",
)  # fmt: skip


@dataclass(frozen=True)
class StackDefinition:
    """A Debian release and the packages of its run image and of the build layer on it."""

    name: str
    suite: str
    run_packages: tuple[str, ...] = RUN_PACKAGES
    build_packages: tuple[str, ...] = BUILD_PACKAGES
    revision: int = 1

    @property
    def fingerprint(self) -> str:
        """Changes when the definition does."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()


DEFINITIONS = {
    definition.name: definition
    for definition in (
        StackDefinition("debian-12", "bookworm"),
        StackDefinition("debian-13", "trixie"),
        StackDefinition("debian-testing", "testing"),
    )
}
HOST = "host"
NAMES = (*DEFINITIONS, HOST)
