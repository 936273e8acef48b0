"""npm's, Yarn's and pnpm's failures in the pusher's words.

In: what they printed.  Out: a BuildError: what did not work, the cause, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..failure_rules import Rule, explain, rule

ALIGN = "Correct package.json, install again on your machine, commit package.json and the lock file."
NETWORK = r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET|ERR_PNPM_META_FETCH_FAIL|There appears to be trouble"


def explain_node(text: str, manager: str, lock: str) -> BuildError:
    """Choose the reason that fits the output best. `lock` is the lock file's name, '' for none."""
    found = explain(RULES, text, manager=manager, lock=lock or "the lock file")
    return found or BuildError(
        "install_failed", f"{manager} could not install the dependencies.", details=tool_lines(text)
    )


def tool_lines(text: str) -> tuple[str, ...]:
    """The lines that tell the cause, without the tools' marks and their advice on logs."""
    lines = [
        re.sub(r"^(npm (ERR!|error) ?|error |➤ YN\d+: ?[│┌└·]? ?| ERR_PNPM_\w+ *)", "", line)
        for line in text.splitlines()
    ]
    noise = (
        "A complete log of this run",
        "-debug-",
        "Visit https://",
        "info ",
        "warning ",
        "Completed",
        "gyp info",
    )
    kept = [line[:200] for line in lines if line.strip() and not any(word in line for word in noise)]
    return tuple(kept[:10])


def gyp_lines(text: str) -> tuple[str, ...]:
    """What the compiler says, not what node-gyp says about itself."""
    wanted = re.compile(r"error|not found|No such file", re.IGNORECASE)
    lines = [re.sub(r"^npm (ERR!|error) ?", "", line).strip() for line in text.splitlines()]
    return tuple(line[:200] for line in lines if wanted.search(line) and "gyp ERR!" not in line)[:6]


RULES: tuple[Rule, ...] = (
    rule(
        r"No matching version found for (?P<package>\S+?)\.?(?:\s|$)|"
        r"Couldn't find any versions for \"(?P<name>[^\"]+)\" that matches \"(?P<range>[^\"]+)\"|"
        r"(?P<berry>\S+)@npm:(?P<wanted>\S+): No candidates found",
        "requirements_unresolvable",
        "There is no version {package}{name} {range}{berry} {wanted} in the npm registry.",
        ALIGN,
    ),
    rule(
        r"code ETARGET",
        "requirements_unresolvable",
        "A version is not in the npm registry.",
        ALIGN,
        tool_lines,
    ),
    rule(
        r"ERR_PNPM_FETCH_40[13]|code E40[13]|Invalid authentication|(?:401|403) (?:Unauthorized|Forbidden)",
        "registry_refused",
        "The npm registry refused a package: the token is missing, wrong, or may not read it.",
        "Commit an .npmrc with `//HOST/:_authToken=${{NPM_TOKEN}}` and set NPM_TOKEN as a config var.",
        tool_lines,
    ),
    rule(
        r"'(?P<package>[^']+)' is not in (?:this|the npm) registry|"
        r"404\s+Not Found - GET \S+/(?P<path>\S+?)(?: - |\s|$)|"
        r"Couldn't find package \"(?P<yarn>[^\"]+)\" on the|"
        r"(?P<berry>\S+)@npm:\S+: Package not found|"
        r"^(?P<pnpm>\S+) is not in the npm registry",
        "requirements_unresolvable",
        "{package}{path}{yarn}{berry}{pnpm} is not in the npm registry.",
        "Correct its name, or set up the registry that has it in .npmrc.",
    ),
    rule(
        r"can only install packages when your package\.json and package-lock|code EUSAGE|"
        r"lockfile needs to be updated|lockfile would have been (?:modified|created)|ERR_PNPM_OUTDATED_LOCKFILE",
        "lock_outdated",
        "{lock} does not match package.json.",
        "Run `{manager} install`, commit {lock} and push again.",
    ),
    rule(
        r"<<<<<<<|Invalid lock(?:file| file)|ERR_PNPM_BROKEN_LOCKFILE|Unknown token|Merge conflict",
        "lock_invalid",
        "{lock} cannot be read.",
        "Resolve merge conflicts in it (`{manager} install` does), commit it and push again.",
        tool_lines,
    ),
    rule(
        r"EINTEGRITY|ERR_PNPM_TARBALL_INTEGRITY|Integrity check failed|checksum (?:mismatch|doesn't match)|YN0018",
        "hash_mismatch",
        "A package is not the file that {lock} names: its hash differs.",
        "Lock the dependencies again. If it stays so, ask who runs the registry.",
        tool_lines,
    ),
    rule(
        r"ERESOLVE|ERR_PNPM_PEER_DEP_ISSUES",
        "requirements_unresolvable",
        "{manager} cannot resolve the dependencies: packages want different versions of another.",
        "Align the versions; NPM_CONFIG_LEGACY_PEER_DEPS=true as a config var lets npm ignore it.",
        tool_lines,
    ),
    rule(
        r"EBADENGINE|The engine \"(?P<engine>\w+)\" is incompatible|ERR_PNPM_UNSUPPORTED_ENGINE",
        "node_version_unsupported",
        "A package does not run on this version of Node.js.",
        "Set engines.node in package.json to a version that it takes, or take another version of the package.",
        tool_lines,
    ),
    rule(
        r"EBADPLATFORM|is incompatible with this platform|ERR_PNPM_UNSUPPORTED_PLATFORM",
        "requirements_unresolvable",
        "A package is not made for Linux.",
        "Move it to optionalDependencies, or remove it.",
        tool_lines,
    ),
    rule(
        r"unknown git error|ERR_PNPM_GIT|git ls-remote|Permission denied \(publickey\)|fatal: unable to access",
        "repository_unreachable",
        "A git repository among the dependencies could not be fetched.",
        "The build must reach it over https without a password. Publish the package, or commit it.",
        tool_lines,
    ),
    rule(
        r"fatal error: (?P<header>\S+\.h): No such file[\s\S]*?gyp ERR!",
        "package_build_failed",
        "A native module could not be compiled: the header {header} is not in the stack.",
        "Take a version that brings a binary for this Node.js, or a stack with that library.",
        gyp_lines,
    ),
    rule(
        r"gyp ERR!|node-pre-gyp ERR|prebuild-install (?:warn|ERR)",
        "package_build_failed",
        "A native module could not be compiled.",
        "Old modules do not compile against new versions of Node.js: take a newer one, or an older engines.node.",
        gyp_lines,
    ),
    rule(
        r"JavaScript heap out of memory",
        "build_memory",
        "Node.js ran out of memory.",
        "Set NODE_OPTIONS=--max-old-space-size=1536 as a config var, or make the build smaller.",
    ),
    rule(
        r"code ELIFECYCLE|command failed|ERR_PNPM_RECURSIVE_EXEC|Exit code: (?P<exit>\d+)|YN0009",
        "package_script_failed",
        "An install script of a package failed.",
        "The lines above say which. Run `{manager} install` on a clean clone; correct it and push again.",
        tool_lines,
    ),
    rule(
        NETWORK,
        "registry_unreachable",
        "The package registry could not be reached.",
        "Push again in a minute. If it is your own: builds reach it by name and port from the host that builds.",
        tool_lines,
    ),
    rule(
        r"ENOSPC|no space left",
        "build_disk_full",
        "The dependencies need more disk than a build may use.",
        "Remove large packages from package.json.",
    ),
)
