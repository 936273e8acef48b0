"""`.slugignore`: files of the commit that do not belong in the slug.

In: the file's text, paths of the tree.  Out: which paths match. Patterns are those of .gitignore without `!`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GLOBS = re.compile(r"\*\*/|/\*\*$|\*+|\?|\[!?\]?[^\]]*\]|\\.")

NOTHING = re.compile("(?!)")


@dataclass(frozen=True)
class Pattern:
    """One line: a regex for the whole relative path, and whether it names folders only."""

    regex: re.Pattern[str]
    folder_only: bool

    def matches(self, path: str, is_folder: bool) -> bool:
        return (is_folder or not self.folder_only) and self.regex.fullmatch(path) is not None


def parse_slugignore(text: str) -> tuple[tuple[Pattern, ...], tuple[str, ...]]:
    """Return the patterns and the negated lines, which have no meaning here and are ignored."""
    lines = [line.rstrip() for line in text.lstrip("\ufeff").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    negated = tuple(line for line in lines if line.startswith("!"))
    return tuple(
        compile_pattern(line) for line in lines if not line.startswith("!") and line.strip("/")
    ), negated


def compile_pattern(line: str) -> Pattern:
    """Translate one gitignore pattern. A slash at the start or inside anchors it to the root."""
    body = line.strip("/")
    anchored = line.startswith("/") or "/" in body
    prefix = "" if anchored else "(?:.*/)?"
    try:
        regex = re.compile(prefix + translate(body), re.DOTALL)
    except re.error:  # [z-a] and [] match nothing in a .gitignore, either
        regex = NOTHING
    return Pattern(regex, line.endswith("/"))


def translate(glob: str) -> str:
    """Turn a glob into a regex where `*` and `?` stop at slashes and `**` does not."""
    regex, position = "", 0
    for match in GLOBS.finditer(glob):
        regex += re.escape(glob[position : match.start()]) + translate_part(match[0])
        position = match.end()
    return regex + re.escape(glob[position:])


def translate_part(glob_part: str) -> str:
    if glob_part == "**/":
        return "(?:.*/)?"
    if glob_part == "/**":
        return "/.*"
    if glob_part.startswith("*"):
        return "[^/]*"
    if glob_part == "?":
        return "[^/]"
    if glob_part.startswith("\\"):
        return re.escape(glob_part[1])
    inner = glob_part[1:-1].replace("\\", "\\\\")
    return f"[^{inner[1:]}]" if inner.startswith(("!", "^")) else f"[{inner}]"


def remove_ignored(app: Path, patterns: tuple[Pattern, ...]) -> int:
    """Delete what the patterns match, links themselves and never their targets. Returns how many entries went."""
    found = matching(app, patterns)
    for entry in found:
        delete(entry)
    return len(found)


def matching(app: Path, patterns: tuple[Pattern, ...]) -> list[Path]:
    """List matching entries; a matching folder stands for everything below it."""
    return walk(app, lambda path, folder: any(pattern.matches(path, folder) for pattern in patterns))


def walk(root: Path, wanted: Callable[[str, bool], bool], prefix: str = "") -> list[Path]:
    found: list[Path] = []
    for entry in sorted((root / prefix).iterdir()):
        path = f"{prefix}{entry.name}"
        folder = entry.is_dir() and not entry.is_symlink()
        if wanted(path, folder):
            found.append(entry)
        elif folder:
            found += walk(root, wanted, f"{path}/")
    return found


def delete(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def remove_others(app: Path, patterns: tuple[Pattern, ...]) -> int:
    """Delete everything that no pattern matches. Folders around a match stay. Returns how many entries went."""
    kept = set(matching(app, patterns))
    around = {folder for entry in kept for folder in entry.parents}
    found = [entry for entry in _below(app, kept, around) if entry not in kept and entry not in around]
    for entry in found:
        delete(entry)
    return len(found)


def _below(folder: Path, kept: set[Path], around: set[Path]) -> list[Path]:
    found: list[Path] = []
    for entry in sorted(folder.iterdir()):
        found.append(entry)
        if entry in around and entry not in kept:
            found += _below(entry, kept, around)
    return found
