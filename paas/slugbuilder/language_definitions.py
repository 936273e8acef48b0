"""Languages that a stack gets on demand: which packages apps need to run and to be built.

In: a language's name, which is that of its buildpack.  Out: a frozen definition. Package names are those that all
Debian releases share.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Language:
    """`run_packages` go on the run image, `build_packages` on the build layer ((): nothing is needed).

    `version` is the command that tells the version, run where the build packages are; `abi_parts` of it must stay the
    same for what was compiled or installed to run (0: what is built runs anywhere).
    """

    name: str
    label: str
    run_packages: tuple[str, ...]
    build_packages: tuple[str, ...]
    version: tuple[str, ...]
    abi_parts: int = 0
    revision: int = 1

    @property
    def fingerprint(self) -> str:
        """Changes when the definition does."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()


# Extensions that composer.json asks for by name, as far as Debian has them.
PHP = (
    "php-cli", "php-fpm", "php-apcu", "php-bcmath", "php-curl", "php-gd", "php-gmp", "php-intl", "php-mbstring",
    "php-mysql", "php-pgsql", "php-redis", "php-soap", "php-sqlite3", "php-xml", "php-zip",
)  # fmt: skip

LANGUAGES = {
    language.name: language
    for language in (
        Language("go", "Go", (), ("golang-go",), ("go", "env", "GOVERSION")),
        Language("ruby", "Ruby", ("bundler",), ("bundler", "ruby-dev"), ("ruby", "--version"), abi_parts=2),
        Language("php", "PHP", PHP, (*PHP, "composer", "unzip"), ("php", "--version"), abi_parts=2),
        Language(
            "java",
            "Java",
            ("default-jre-headless",),
            ("default-jdk-headless", "maven"),
            ("java", "--version"),
            abi_parts=1,
        ),
    )
}
