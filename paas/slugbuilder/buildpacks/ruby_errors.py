"""What Bundler prints when it fails, in the pusher's words.

In: its output.  Out: a BuildError: what did not work, the cause, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..failure_rules import Rule, explain, rule


def explain_bundler(text: str) -> BuildError:
    found = explain(RULES, text)
    return found or BuildError(
        "install_failed", "Bundler could not install the gems.", details=bundler_lines(text)
    )


def bundler_lines(text: str) -> tuple[str, ...]:
    noise = re.compile(r"^(Using|Fetching|Installing|Don't run Bundler as root|-{3,}| *from )")
    return tuple(line[:200] for line in text.splitlines() if line.strip() and not noise.match(line))[-12:]


def compiler_lines(text: str) -> tuple[str, ...]:
    wanted = re.compile(r"error|missing|not found|checking for .*no$|No such file", re.IGNORECASE)
    return tuple(line.strip()[:200] for line in text.splitlines() if wanted.search(line))[:8]


RULES: tuple[Rule, ...] = (
    rule(
        r"Your Ruby version is (?P<have>[\d.]+)[^,]*, but your Gemfile specified (?P<wanted>[^\n]+)",
        "ruby_version_unsupported",
        "The Gemfile asks for Ruby {wanted}, the stack has {have}.",
        'Write `ruby "~> X.Y.0"` with the X.Y of the stack into the Gemfile, whose patch level is the stack\'s; run '
        "`bundle lock`, commit both files and push again. Or choose a stack with that Ruby.",
    ),
    rule(
        r"Your bundle only supports platforms (?P<only>\[[^\]]*\]) but your local platform\s+is (?P<here>\S+?)\.?\s",
        "lock_invalid",
        "Gemfile.lock is for {only} only, builds run on {here}.",
        "Run `bundle lock --add-platform x86_64-linux`, commit Gemfile.lock and push again.",
    ),
    rule(
        r"(deployment|frozen) mode.*Gemfile|lockfile can't be updated|have (added|deleted|changed).*Gemfile|"
        r"The gemspecs? for .* changed",
        "lock_outdated",
        "Gemfile.lock does not belong to the Gemfile.",
        "Run `bundle install`, commit Gemfile.lock and push again.",
        bundler_lines,
    ),
    rule(
        r"There was an error (while trying to parse|parsing) .?Gemfile|Your lockfile is unreadable|"
        r"contains? merge conflicts",
        "gemfile_invalid",
        "Gemfile or Gemfile.lock cannot be read.",
        "Correct the line below, commit and push again.",
        bundler_lines,
    ),
    rule(
        r"checksum for .* does not match|ChecksumMismatch|checksums? .*mismatch",
        "hash_mismatch",
        "A gem is not the one whose checksum is known.",
        "Look at the lines above. Nothing of it was installed.",
        bundler_lines,
    ),
    rule(
        r"Authentication is required for (?P<host>\S+)|Bad username or password for (?P<other>\S+)",
        "registry_refused",
        "The gem server {host}{other} wants a user and password.",
        "Set them as a config var: BUNDLE_HOST__NAME=user:password, each dot of the host written as __.",
    ),
    rule(
        r"Could not (fetch specs from|reach host) (?P<host>\S+)|Network error while fetching|"
        r"too many connection resets|getaddrinfo",
        "registry_unreachable",
        "The gem server cannot be reached from the build.",
        "Push again later, or commit the gems: `bundle cache` puts them into vendor/cache.",
        bundler_lines,
    ),
    rule(
        r"An error occurred while installing (?P<gem>\S+) \((?P<version>[^)]+)\)",
        "package_build_failed",
        "The gem {gem} {version} could not be installed.",
        "Its own words are below. A library that it needs and the stack lacks is often the reason.",
        compiler_lines,
    ),
    rule(
        r"Could not find (?:gem )?'?(?P<gem>[^'\n]+?)'?,? in (?:any of the|rubygems|locally|the local|cached)",
        "requirements_unresolvable",
        "There is no gem {gem} where Bundler looked.",
        "Run `bundle install` on your machine, commit Gemfile.lock (and vendor/cache, if you use it) and push again.",
        bundler_lines,
    ),
    rule(
        r"Could not find (?P<gem>\S+) in ",
        "requirements_unresolvable",
        "There is no gem {gem} where Bundler looked.",
        "Run `bundle install` on your machine, commit Gemfile.lock (and vendor/cache, if you use it) and push again.",
        bundler_lines,
    ),
)
