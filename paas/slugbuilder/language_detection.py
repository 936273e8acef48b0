"""Which languages a build needs of its stack, known before its container starts. Runs on the host.

In: the plain tar that builds take and the buildpacks that the app names.  Out: names of languages. Nothing is unpacked
but small files of the root, into a folder that is thrown away. What a tar has of headers, entries and names is bounded.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paas.sources.errors import SourceError
from paas.sources.tar_headers import BoundedTar

from .buildpacks import detect
from .errors import BuildError
from .heroku.compiling import FILE
from .heroku.references import SCHEMES, Source, parse_list, parse_reference
from .language_definitions import LANGUAGES
from .project_toml import FILE as PROJECT
from .project_toml import parse_project

MOST_BYTES = 256 * 1024  # of a file that detection may look into; of larger ones it sees the name
MOST_ENTRIES = 200_000
MOST_FILES = 20_000  # of a root: each becomes a file here
MOST_CONTENT = 64 * 1024**2  # bytes in all; of files beyond it detection sees the name
BELOW_ROOT = ("public/index.html",)


def needed_languages(tar: Path, chosen: Sequence[str], project: str = "") -> tuple[str, ...]:
    """Return the languages in the order of the buildpacks. What cannot be read is the builder's to tell.

    `project` is the folder of the source that is the app. Cloud Native Buildpacks bring their own languages.
    """
    with tempfile.TemporaryDirectory(prefix="paas-detect-") as folder:
        root = Path(folder)
        if not chosen:
            try:
                copy_root(tar, root, f"{project}/" if project else "")
            except (tarfile.TarError, EOFError, OSError, ValueError, SourceError):
                return ()
            if _names_group(root / PROJECT):
                return ()
            file = root / FILE
            chosen = parse_list(file.read_text("utf-8", "replace")) if file.is_file() else ()
        names = [built_in(one) for one in chosen] if chosen else [detected(root)]
    return tuple(dict.fromkeys(name for name in names if name in LANGUAGES))


def _names_group(file: Path) -> bool:
    try:
        return file.is_file() and bool(parse_project(file.read_bytes()).group)
    except (BuildError, ValueError):
        return False


def built_in(text: str) -> str:
    """Return the name of our own buildpack that is meant, '' for any other."""
    try:
        reference = parse_reference(text, SCHEMES)
    except ValueError:
        return ""
    return reference.place if reference.source is Source.BUILT_IN else ""


def detected(root: Path) -> str:
    try:
        return detect(root).name
    except BuildError:
        return ""


def copy_root(tar: Path, root: Path, start: str) -> None:
    """Copy what detection looks at: regular files of the root by name, small ones with their content."""
    files = content_bytes = 0
    with BoundedTar.open(tar, "r:") as archive:
        for number, member in enumerate(archive.each()):
            if number >= MOST_ENTRIES or files >= MOST_FILES:
                return
            path = member.name.removeprefix("./")
            if not path.startswith(start):
                continue
            name = path.removeprefix(start)
            wanted = name in BELOW_ROOT or ("/" not in name and name not in ("", ".", ".."))
            if member.isreg() and wanted and "\0" not in name and len(os.fsencode(name)) < 256:
                read = member.size <= min(MOST_BYTES, MOST_CONTENT - content_bytes)
                content = archive.extractfile(member) if read else None
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_bytes(content.read() if content else b"")
                files, content_bytes = files + 1, content_bytes + (member.size if read else 0)
