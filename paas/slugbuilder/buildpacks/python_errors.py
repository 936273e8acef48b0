"""uv's failures in the pusher's words.

In: what it printed.  Out: a BuildError: what did not work, its own reason condensed, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..failure_rules import Rule, explain, rule
from ..output import wrap

FETCH = r"error sending request|failed to fetch|dns error|connection refused|tcp connect error|max retries exceeded"
PACKAGE = r"(?P<package>[\w.\-\[\]]+(?:==[\w.!+]+)?)"


def explain_uv(text: str, source: str) -> BuildError:
    """Choose the reason that fits the output best."""
    found = explain(RULES, text, source=source)
    if found is None and "no solution found" in text.lower():
        return unresolvable(text, source)
    return (
        found
        or explain(LATER, text, source=source)
        or BuildError("install_failed", f"Installing {source} failed.", details=cause_lines(text))
    )


def unresolvable(text: str, source: str) -> BuildError:
    hint = f"Correct the version in {source}, commit and push again."
    reason = first_reason(text)
    return BuildError(
        "requirements_unresolvable",
        f"The dependencies in {source} cannot be resolved.",
        details=tuple(wrap(reason)),
        hint=hint,
    )


def first_reason(text: str) -> str:
    """uv's explanation as sentences: without its boxes, line breaks and closing formula."""
    body = re.split(r"no solution found[^\n]*\n?", text, maxsplit=1, flags=re.IGNORECASE)[-1]
    body = re.split(r"\n\s*\n|\n\s*hint:", body, maxsplit=1)[0]
    words = re.sub(r"[╰├─▶│×]+", " ", re.sub(r"^\s*cause:", " ", body, flags=re.MULTILINE))
    sentence = re.sub(r"\s+", " ", words).strip()
    sentence = re.sub(
        r",? we can conclude that your (?:project's )?requirements are unsatisfiable\.?", ".", sentence
    )
    sentence = sentence.removeprefix("Because ")
    return sentence[:1].upper() + sentence[1:]


def reason_lines(text: str) -> tuple[str, ...]:
    return tuple(wrap(first_reason(text)))


def last_lines(text: str, count: int = 6) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return tuple(line[:200] for line in lines[-count:])


def cause_lines(text: str) -> tuple[str, ...]:
    """The `error:` and `cause:` lines with what follows them, at most eight."""
    start = re.search(r"^error:", text, re.MULTILINE)
    lines = (text[start.start() :] if start else text).splitlines()
    return tuple(line.rstrip()[:200] for line in lines if line.strip() and not line.startswith("hint:"))[:8]


# What is true whatever else the output holds, the most exact first.
RULES: tuple[Rule, ...] = (
    rule(
        r"the current Python version \((?P<have>[\d.]+)\) does not satisfy Python(?P<needs>[^\s,]+)\s+and\s+"
        + PACKAGE
        + r"\s+depends\s+on",
        "requirements_unresolvable",
        "{package} has no version for Python {have}: it needs Python {needs}.",
        "Ask for another version of it in {source}, or choose a stack with such a Python.",
    ),
    rule(
        r"Because\s+(?:only\s+)?"
        + PACKAGE
        + r"\s+has\s+no\s+wheels\s+with\s+a\s+matching\s+Python\s+(?:ABI|version)"
        r"[\s\S]*?(?:hint: You require CPython (?P<have>[\d.]+)|\Z)",
        "requirements_unresolvable",
        "{package} has no version for Python {have}, and cannot be built from source.",
        "Ask for a newer version of it in {source}, or choose a stack with an older Python.",
    ),
    rule(
        r"Because\s+(?:only\s+)?" + PACKAGE + r"\s+has\s+no\s+wheels\s+with\s+a\s+matching\s+platform",
        "requirements_unresolvable",
        "{package} is not made for Linux.",
        'Remove it from {source}, or mark it: `{package}; sys_platform == "win32"`.',
    ),
    rule(
        r"Hash mismatch for `(?P<package>[^`]+)`|"
        r"Hash for (?P<file>\S+) from archive \S+ not found in known hashes",
        "hash_mismatch",
        "{package}{file} is not the file that {source} names: its hash differs.",
        "Lock the dependencies again (`pip-compile --generate-hashes`, `uv lock`, `pipenv lock`, `poetry lock`).",
        cause_lines,
    ),
    rule(
        r"In `?--require-hashes`? mode, all requirements must (?:have a hash|be pinned)[\s\S]*?(?::|but found:?) *"
        r"(?P<package>\S+)",
        "requirements_invalid",
        "{source} gives hashes for some packages only: {package} has none.",
        "Make it anew with `pip-compile --generate-hashes`, commit and push.",
    ),
    rule(
        r"Error parsing included file in `(?P<file>[^`]+)`"
        r"[\s\S]*?failed to read from file `(?:/app/)?(?P<missing>[^`]+)`",
        "requirements_invalid",
        "{file} includes {missing}, which is not in the commit.",
        "Commit the file, or correct the line that names it.",
    ),
    rule(
        r"Distribution not found at: (?:file://)?(?:/app/)?(?P<missing>\S+)",
        "requirements_invalid",
        "{source} names {missing}, which is not in the commit.",
        "Commit it, or correct the line that names it.",
    ),
    rule(
        r"Git operation failed|failed to clone into|Git executable not found",
        "repository_unreachable",
        "A git repository that {source} names could not be fetched.",
        "The build must reach it without a password. For a private one put a token into the URL by a config var "
        "(`git+https://${{TOKEN}}@…`), or commit the package.",
        cause_lines,
    ),
    rule(
        r"lockfile[\s\S]{0,40}needs to be updated",
        "lock_outdated",
        "uv.lock does not match pyproject.toml.",
        "Run `uv lock`, commit uv.lock and push again.",
    ),
    rule(
        r"(?:requested interpreter resolved to Python|Python version)\s*\(?(?P<have>3[\d.]+\d)\)?"
        r"[\s\S]{0,120}?requirement:? `(?P<needs>[^`]+)`",
        "python_version_unsupported",
        "The project asks for Python {needs}, the build has {have}.",
        "Change requires-python, or choose a stack with such a Python.",
    ),
    rule(
        r"index URL \(https?://(?:[^@/\s]*@)?(?P<host>[^/\s)]+)[^)]*\) could not be queried due to a lack of valid "
        r"authentication credentials \((?P<status>\d+)",
        "registry_refused",
        "{host} refused the packages ({status}): the credentials are missing or wrong.",
        "Set the whole index URL with its user and token as a config var: `PIP_EXTRA_INDEX_URL` or `UV_INDEX`.",
    ),
    rule(
        r"Failed to (?:download and )?build `(?P<package>[^`@]+?)(?: @ [^`]*)?`"
        r"[\s\S]*?fatal error: (?P<header>\S+\.h): No such file",
        "package_build_failed",
        "{package} could not be built: the header {header} is not in the stack.",
        "Take a version that has a wheel for this Python (often NAME-binary), or a stack with that library.",
    ),
    rule(
        r"Failed to (?:build|download and build) `sklearn|'sklearn' PyPI package is deprecated",
        "requirements_invalid",
        "The package is called scikit-learn; sklearn is no package.",
        "Write scikit-learn into {source}, commit and push again.",
    ),
    rule(
        r"Failed to (?:build|download and build) `(?P<package>(?P<name>[^`=]+)[^`]*)`",
        "package_build_failed",
        "{package} could not be built.",
        "Take a version of {name} that has a wheel for this Python, or add what its build needs.",
        last_lines,
    ),
)

# What may also be a side line of another failure.
LATER: tuple[Rule, ...] = (
    rule(
        rf"(?:{FETCH})[\s\S]*?https?://(?:[^@/\s]*@)?(?P<host>[^/\s`)]+)|{FETCH}",
        "registry_unreachable",
        "The package registry {host} could not be reached.",
        "Push again in a minute. If it is your own: builds reach it by name and port from the host that builds.",
        cause_lines,
    ),
    rule(
        r"no space left",
        "build_disk_full",
        "The dependencies need more disk than a build may use.",
        "Remove large packages from {source}.",
    ),
    rule(
        r"couldn't parse|failed to parse|unexpected .* expected|invalid (?:version|requirement)",
        "requirements_invalid",
        "{source} cannot be read.",
        "Correct the line and push again.",
        cause_lines,
    ),
)
