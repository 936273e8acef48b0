"""What go.mod says of a build: the version of Go and Heroku's directives.

In: the text of go.mod.  Out: frozen values, or a BuildError that says what the stack has. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import BuildError

DIRECTIVE = re.compile(r"^//\s*\+heroku\s+(\w+)\s+(.+?)\s*$", re.MULTILINE)
MODULE = re.compile(r"^module\s+\"?([^\s\"]+)\"?", re.MULTILINE)
GO = re.compile(r"^go\s+(\d+\.\d+(?:\.\d+)?\S*)", re.MULTILINE)
VERSION = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Module:
    """`wanted` is the lowest version of Go that builds it ('' any), by `file_says`; `install` what to build."""

    path: str
    wanted: str = ""
    file_says: str = ""
    install: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path that is no major version: what Go calls the program of the root."""
        parts = [part for part in self.path.split("/") if not re.fullmatch(r"v[0-9]+", part)]
        return parts[-1] if parts else ""


def parse_go_mod(text: str) -> Module:
    """Read `module`, `go` and the `// +heroku` comments; Heroku's goVersion comes first."""
    directives = dict(DIRECTIVE.findall(text))
    path, go = MODULE.search(text), GO.search(text)
    if path is None:
        raise BuildError(
            "go_mod_invalid",
            "go.mod has no module line.",
            hint="Make one with `go mod init NAME`, commit and push.",
        )
    install = tuple(directives.get("install", "").split())
    if "goVersion" in directives:
        return Module(path[1], directives["goVersion"], "// +heroku goVersion", install)
    return Module(path[1], go[1] if go else "", "go" if go else "", install)


def numbers(version: str) -> tuple[int, int] | None:
    """Return major and minor of `go1.22`, `1.22.1`; None for anything else."""
    found = VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else None


def check_version(module: Module, have: str, stack: str) -> None:
    """An older Go may be asked for: newer ones build what it builds. A newer one may not."""
    wanted, has = numbers(module.wanted), numbers(have)
    if module.wanted and wanted is None:
        message = f"go.mod asks with {module.file_says!r} for {module.wanted!r}, which is no version of Go."
        raise BuildError("go_version_invalid", message, hint="Write one like 1.22.")
    if wanted and has and wanted > has:
        asked = module.wanted.removeprefix("go")
        message = f"go.mod asks for Go {asked} ({module.file_says}), stack {stack} has {have}."
        hint = (
            f"Run `go mod edit -go={has[0]}.{has[1]}` if the code allows it, choose a stack with a newer Go, or set "
            "GOTOOLCHAIN=auto, with which Go 1.21 and newer fetch the version asked for."
        )
        raise BuildError("go_version_unsupported", message, hint=hint)
