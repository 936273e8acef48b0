"""uv's failures in the pusher's words.

In: what uv printed.  Out: a BuildError: what did not work, uv's own reason condensed, what to do.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from ..output import wrap

NETWORK = ("error sending request", "failed to fetch", "dns error", "connection refused", "tcp connect error")


def explain_uv(text: str, source: str) -> BuildError:
    """Choose the reason that fits uv's output best."""
    lowered = text.lower()
    if "no solution found" in lowered:
        return unresolvable(text, source)
    if "lockfile" in lowered and "needs to be updated" in lowered:
        message = "uv.lock does not match pyproject.toml."
        return BuildError("lock_outdated", message, hint="Run `uv lock`, commit uv.lock and push again.")
    built = re.search(r"Failed to (?:build|download and build) `([^`]+)`", text)
    if built:
        return unbuildable(text, built[1])
    if any(word in lowered for word in NETWORK):
        message = "The package registry could not be reached."
        return BuildError(
            "registry_unreachable", message, details=cause_lines(text), hint="Push again in a minute."
        )
    if "no space left" in lowered:
        message = "The dependencies need more disk than a build may use."
        return BuildError("build_disk_full", message, hint=f"Remove large packages from {source}.")
    if "couldn't parse" in lowered or "failed to parse" in lowered:
        message = f"{source} cannot be read."
        return BuildError(
            "requirements_invalid",
            message,
            details=cause_lines(text),
            hint="Correct the line and push again.",
        )
    return BuildError("install_failed", f"Installing {source} failed.", details=cause_lines(text))


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


def unbuildable(text: str, package: str) -> BuildError:
    name = package.partition("==")[0]
    hint = f"Take a version of {name} that has a wheel for this Python, or add what its build needs."
    return BuildError(
        "package_build_failed", f"{package} could not be built.", details=last_lines(text), hint=hint
    )


def last_lines(text: str, count: int = 6) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return tuple(line[:200] for line in lines[-count:])


def cause_lines(text: str) -> tuple[str, ...]:
    """uv's `error:` and `cause:` lines with what follows them, at most eight."""
    start = re.search(r"^error:", text, re.MULTILINE)
    lines = (text[start.start() :] if start else text).splitlines()
    return tuple(line.rstrip()[:200] for line in lines if line.strip() and not line.startswith("hint:"))[:8]
