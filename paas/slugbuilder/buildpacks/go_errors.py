"""What go prints when it fails, in the pusher's words.

In: go's output.  Out: a BuildError: what did not work, the cause, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..failure_rules import Rule, explain, rule

TIDY = "Run `go mod tidy` on your machine, commit go.mod and go.sum, and push again."


def explain_go(text: str, vendored: bool) -> BuildError:
    found = explain(RULES, text)
    if found is not None:
        return found
    hint = "Run `go build ./...` on a clean clone, correct it and push again."
    return BuildError("go_build_failed", "The Go code does not compile.", details=go_lines(text), hint=hint)


def go_lines(text: str) -> tuple[str, ...]:
    """The compiler's lines, without the names of packages that went well."""
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r":\d+:\d+: |^go: |^#|cannot|error|undefined", line)]
    return tuple(line[:200] for line in (told or lines))[-12:]


RULES: tuple[Rule, ...] = (
    rule(
        r"requires go >= (?P<wanted>[\w.]+) \(running go (?P<have>[\w.]+)",
        "go_version_unsupported",
        "A module asks for Go {wanted}, the stack has {have}.",
        "Choose an older version of it, a stack with a newer Go, or set the config var GOTOOLCHAIN=auto, with which Go "
        "1.21 and newer fetch the version asked for.",
        go_lines,
    ),
    rule(
        r"inconsistent vendoring",
        "go_vendor_outdated",
        "vendor/ does not belong to go.mod.",
        "Run `go mod tidy && go mod vendor`, commit go.mod, go.sum and vendor/, and push again.",
        go_lines,
    ),
    rule(
        r"missing go\.sum entry|updates to go\.(mod|sum) needed|no required module provides package",
        "lock_outdated",
        "go.mod and go.sum do not name everything that the code needs.",
        TIDY,
        go_lines,
    ),
    rule(
        r"checksum mismatch|SECURITY ERROR",
        "hash_mismatch",
        "A module is not the one whose checksum go.sum holds.",
        "Look at the lines above: the module was changed after its release, or go.sum is wrong. Nothing was installed.",
        go_lines,
    ),
    rule(
        r"cannot find module providing package (?P<package>\S+?):? import lookup disabled by -mod=vendor|"
        r"cannot find package \"(?P<other>[^\"]+)\" in any of:\s+\S*vendor",
        "go_vendor_outdated",
        "vendor/ lacks {package}{other}.",
        "Run `go mod vendor`, commit vendor/ and push again.",
    ),
    rule(
        r"(?P<cause>dial tcp\S*|lookup \S+ on \S+:|no such host|connection refused|i/o timeout|"
        r"TLS handshake timeout|proxyconnect)",
        "registry_unreachable",
        "A module could not be fetched: the module proxy cannot be reached from the build.",
        "Commit the modules with `go mod vendor`, or set the config var GOPROXY to a proxy that can be reached.",
        go_lines,
    ),
    rule(
        r"(?P<module>\S+@\S+): .*(404 Not Found|410 Gone|unknown revision|not found)",
        "requirements_unresolvable",
        "There is no module {module}.",
        TIDY,
        go_lines,
    ),
    rule(
        r"go: errors parsing (\S*/)?go\.mod|go\.mod:\d+: |invalid go version",
        "go_mod_invalid",
        "go.mod cannot be read by this Go.",
        "Correct the line below, commit and push again.",
        go_lines,
    ),
    rule(
        r"signal: killed|cannot allocate memory",
        "build_memory",
        "Compiling needed more memory than a build has.",
        "Set the config var GOFLAGS=-p=1, which compiles one package at a time.",
    ),
)
