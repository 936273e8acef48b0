"""Java libraries, from what Maven and Gradle write into archives.

In: a tree.  Out: components of every `META-INF/maven/*/*/pom.properties`, those of archives in an archive too.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .component import Component, component

PLACES = (
    "target/*.jar",
    "target/*.war",
    "target/dependency/*.jar",
    "build/libs/*.jar",
    "*/build/libs/*.jar",
    "lib/*.jar",
    "*.jar",
)
DEEPEST = 2  # an application's archive holds its libraries as archives
LARGEST = 64 * 1024**2  # bytes of an archive in an archive
POM_LARGEST = 64 * 1024


def java_archives(app: Path) -> Iterator[Component]:
    """Yield the libraries in the app's archives."""
    for place in PLACES:
        for file in sorted(app.glob(place)):
            with file.open("rb") as stream:
                yield from _archive(stream, DEEPEST)


def _archive(stream: IO[bytes], depth: int) -> Iterator[Component]:
    try:
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                name = entry.filename
                if name.startswith("META-INF/maven/") and name.endswith("/pom.properties"):
                    yield from _described(archive.open(entry).read(POM_LARGEST))
                elif depth > 1 and name.endswith(".jar") and entry.file_size <= LARGEST:
                    yield from _archive(io.BytesIO(archive.read(entry)), depth - 1)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError):
        return  # not an archive, whatever it is called


def _described(data: bytes) -> Iterator[Component]:
    lines = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
    values = {key.strip(): value.strip() for key, _, value in lines}
    found = component("maven", values.get("artifactId"), values.get("version"), group=values.get("groupId"))
    if found:
        yield found
