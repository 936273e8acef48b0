"""Which Java an app asks for, and which of the stack's it gets.

In: system.properties, and what is below /usr/lib/jvm.  Out: a folder and its version, or a BuildError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError

JVMS = Path("/usr/lib/jvm")
RUNTIME = "java.runtime.version"


@dataclass(frozen=True)
class Jdk:
    home: Path
    major: int


def properties(text: str) -> dict[str, str]:
    """Java's properties as far as such files use them: `name=value`, `name: value`, comments."""
    pairs = (re.match(r"\s*([^#!\s=:][^\s=:]*)\s*[=:\s]\s*(.*?)\s*$", line) for line in text.splitlines())
    return {pair[1]: pair[2] for pair in pairs if pair}


def wanted_major(text: str) -> int | None:
    """`17`, `17.0.2`, `1.8`, `openjdk-21`, `zulu-11.0.3`: the major version; None when nothing is asked for."""
    value = properties(text).get(RUNTIME, "")
    if not value:
        return None
    found = re.fullmatch(r"(?:[a-z]+-)?(?:1\.)?(\d+)(?:[._]\S*)?", value)
    if found is None:
        message = f"system.properties asks for Java {value[:60]!r}, which is no version."
        raise BuildError("java_version_invalid", message, hint=f"Write {RUNTIME}=21.")
    return int(found[1])


def find_jdks(folder: Path = JVMS) -> list[Jdk]:
    """The stack's JDKs, the newest first. A folder without a compiler is no JDK."""
    found = {}
    for home in folder.glob("java-*-openjdk*") if folder.is_dir() else ():
        number = re.match(r"java-(?:1\.)?(\d+)-", home.name)
        if number and not home.is_symlink() and (home / "bin" / "javac").exists():
            found[int(number[1])] = home
    return [Jdk(found[major], major) for major in sorted(found, reverse=True)]


def choose_jdk(wanted: int | None, jdks: list[Jdk], default: int | None, stack: str) -> Jdk:
    """The one asked for, else the stack's own `java`."""
    if not jdks:
        hint = "Choose a stack made by the platform, such as debian-13; on the host stack install default-jdk-headless."
        raise BuildError("java_missing", f"Stack {stack} has no JDK.", hint=hint)
    wanted = wanted or default or jdks[0].major
    found = next((jdk for jdk in jdks if jdk.major == wanted), None)
    if found is None:
        have = " and ".join(str(jdk.major) for jdk in jdks)
        hint = (
            f"Write {RUNTIME}={jdks[0].major} into system.properties, or choose a stack with that Java. "
            "No JDK is downloaded."
        )
        raise BuildError(
            "java_version_unsupported",
            f"The app asks for Java {wanted}, stack {stack} has {have}.",
            hint=hint,
        )
    return found
