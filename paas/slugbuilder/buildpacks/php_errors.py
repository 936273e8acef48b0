"""What Composer prints when it fails, in the pusher's words.

In: its output.  Out: a BuildError: what did not work, the cause, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..failure_rules import Rule, explain, rule

UPDATE = "Run `composer update` on your machine, commit composer.json and composer.lock, and push again."
CREDENTIALS = "Set the config var COMPOSER_AUTH to its credentials, as in Composer's auth.json."


def explain_composer(text: str) -> BuildError:
    found = explain(RULES, text)
    return found or BuildError(
        "install_failed", "Composer could not install the packages.", details=composer_lines(text)
    )


def composer_lines(text: str) -> tuple[str, ...]:
    noise = re.compile(
        r"^\s*(- (Installing|Downloading|Locking)|Installing dep|Verifying lock|Package operations|"
        r"install \[|- /etc/php|To enable ext|You can also run|Alternatively, you can)"
    )
    return tuple(line.strip()[:200] for line in text.splitlines() if line.strip() and not noise.match(line))[
        :12
    ]


RULES: tuple[Rule, ...] = (
    rule(
        r"requires? (?:PHP extension )?(?P<ext>ext-[\w-]+)\s.*?(?:missing from your system|is missing)",
        "php_extension_missing",
        "The app needs the PHP extension {ext}, which the stack does not have.",
        "Ask who runs the platform to add the Debian package of it, or remove it from composer.json.",
        composer_lines,
    ),
    rule(
        r"requires php (?P<wanted>\S.*?) (?:->|but) your php version \((?P<have>[\d.]+)[^)]*\)",
        "php_version_unsupported",
        "A package asks for PHP {wanted}, the stack has {have}.",
        "Ask for a version in composer.json that includes the stack's, run `composer update`, commit both files and "
        "push again. Or choose a stack with that PHP.",
        composer_lines,
    ),
    rule(
        r"lock file (is not up to date|does not contain)|Required package .* is not present in the lock file",
        "lock_outdated",
        "composer.lock does not belong to composer.json.",
        UPDATE,
        composer_lines,
    ),
    rule(
        r"does not contain valid JSON|JsonValidationException|Parse error on line|"
        r"does not match the expected JSON schema",
        "composer_invalid",
        "composer.json or composer.lock cannot be read.",
        "`composer validate` says where. Correct it, commit and push again.",
        composer_lines,
    ),
    rule(
        r"checksum verification of the file failed",
        "hash_mismatch",
        "A package is not the one whose checksum composer.lock holds.",
        "Look at the lines below. Nothing of it was installed.",
        composer_lines,
    ),
    rule(
        r"Could not authenticate against (?P<host>\S+)",
        "registry_refused",
        "The package server {host} refused the build.",
        CREDENTIALS,
        composer_lines,
    ),
    rule(
        r"HTTP/\S+ 40[13]|Invalid credentials",
        "registry_refused",
        "A package server refused the build.",
        CREDENTIALS,
        composer_lines,
    ),
    rule(
        r"curl error \d+ while downloading|Could not resolve host|could not be fully loaded|"
        r"Connection (refused|timed out)|"
        r"Failed to connect|file could not be downloaded",
        "registry_unreachable",
        "A package could not be fetched: its server cannot be reached from the build.",
        "Push again later, or put the packages into the repository (a repository of type path).",
        composer_lines,
    ),
    rule(
        r"Could not find (?:a matching version of )?package (?P<package>\S+)|"
        r"Root composer\.json requires (?P<other>\S+?),? .*(it could not be found|not found)",
        "requirements_unresolvable",
        "There is no package {package}{other}.",
        UPDATE,
        composer_lines,
    ),
    rule(
        r"Script (?P<script>\S+) .*returned with error code (?P<code>\d+)",
        "package_script_failed",
        "Composer's script {script} failed (exit code {code}).",
        "Its output is above. Run `composer install --no-dev` on a clean clone, correct it and push again.",
    ),
)
