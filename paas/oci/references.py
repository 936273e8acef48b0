"""Where an image comes from, as people write it.

In: `docker://registry/name:tag`, `oci-archive:FILE`, `docker-archive:FILE`.  Out: a frozen `Source`. Pure.
Grammar: github.com/distribution/reference; transports: containers-transports(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.oci.errors import ImageError

DOCKER, OCI_ARCHIVE, DOCKER_ARCHIVE = "docker", "oci-archive", "docker-archive"
ARCHIVES = (OCI_ARCHIVE, DOCKER_ARCHIVE)
TRANSPORTS = (DOCKER, *ARCHIVES)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_FORMS = "docker://REGISTRY/NAME:TAG, oci-archive:FILE or docker-archive:FILE"


@dataclass(frozen=True)
class Source:
    """An image in a registry (`registry`, `name`, and `tag` or `digest`), or in an archive (`file`).

    `tag` of an archive is the name of one image in it ('' when it holds only one).
    """

    transport: str
    registry: str = ""
    name: str = ""
    tag: str = ""
    digest: str = ""
    file: str = ""

    def __str__(self) -> str:
        if self.transport != DOCKER:
            return f"{self.transport}:{self.file}" + (f":{self.tag}" if self.tag else "")
        return f"docker://{self.registry}/{self.name}" + (
            f"@{self.digest}" if self.digest else f":{self.tag}"
        )

    def at(self, digest: str) -> Source:
        """Return the same image by its content."""
        return Source(DOCKER, self.registry, self.name, "", digest)


def parse_source(text: str) -> Source:
    """Read a reference. Raises ImageError for anything else, with what it should look like."""
    transport, colon, rest = text.strip().partition(":")
    if not colon or transport not in TRANSPORTS or not rest or "\0" in rest or "\n" in rest:
        raise ImageError(f"{text[:200]!r} does not say where an image is: write {_FORMS}.")
    if transport != DOCKER:
        file, _, tag = rest.partition(":")
        return Source(transport, file=file, tag=tag)
    if not rest.startswith("//"):
        raise ImageError(f"{text[:200]!r} lacks the slashes: write docker://REGISTRY/NAME:TAG.")
    return _parse_name(rest.removeprefix("//"))


def _parse_name(text: str) -> Source:
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    # Docker's rule: the first word is a registry only when it looks like a host.
    if not slash or not ("." in head or ":" in head or head == "localhost"):
        head, tail = "docker.io", rest if slash else f"library/{rest}"
    name, _, tag = tail.partition(":")
    if not _HOST.fullmatch(head) or not _NAME.fullmatch(name) or len(name) > 255:
        raise ImageError(
            f"{text[:200]!r} is not the name of an image: write docker://REGISTRY/NAME:TAG, the name in lower case."
        )
    if tag and not TAG.fullmatch(tag):
        raise ImageError(f"{tag[:200]!r} is not a tag: letters, digits, '.', '_' and '-', at most 128.")
    if digest and not DIGEST.fullmatch(digest):
        raise ImageError(f"{digest[:200]!r} is not a digest: write @sha256: and 64 hexadecimal digits.")
    return Source(DOCKER, head, name, "" if digest else tag or "latest", digest)
