"""requirements.txt as far as the cache needs to understand it.

In: the file.  Out: its text whatever editor wrote it, the files it includes, and whether it fixes what is installed.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
LOCAL = re.compile(
    r"^\s*(?:-e\b|--editable\b|--find-links\b|-f\b|\.{0,2}/|\.\s*$|(?:git|hg|svn|bzr)\+)"
    r"|@\s*(?:git\+|hg\+|svn\+|bzr\+|file:|\.{0,2}/)",
    re.MULTILINE,
)
BOMS = ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


def read_requirements(path: Path) -> tuple[str, str]:
    """Return the text and, when it is not UTF-8, the name of its encoding (PowerShell's `>` writes UTF-16)."""
    data = path.read_bytes()
    for bom, name in BOMS:
        if data.startswith(bom):
            return data.decode("utf-16", "replace").replace("\r\n", "\n"), name
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def included_files(root: Path, file: Path) -> tuple[Path, ...]:
    """The file and those it includes, each once, only inside `root`."""
    found: list[Path] = []
    queue = [file]
    while queue:
        path = queue.pop(0)
        if path in found or not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
            continue
        found.append(path)
        queue += [
            path.parent / name for name in INCLUDE.findall(read_requirements(path)[0]) if "://" not in name
        ]
    return tuple(found)


def is_cacheable(text: str) -> bool:
    """False when a line points at the tree itself, at other folders or at a repository."""
    code = "\n".join(
        line.partition(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#")
    )
    remote_includes = any("://" in name for name in INCLUDE.findall(code))
    return LOCAL.search(code) is None and not remote_includes
