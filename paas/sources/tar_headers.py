"""A tar that is read without more memory than it should: tarfile takes what stands before a member whole.

In: a file that tarfile reads.  Out: its members, none of which is kept; SourceError for headers that no source needs.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

from paas.sources.errors import SourceError

GLOBAL = frozenset({tarfile.XGLTYPE})
BEFORE = GLOBAL | {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
MEMBER_MOST = 1024**2  # bytes before one member: a long name, a long link, extended attributes
MEMBER_HEADERS = 16  # tarfile calls itself for each
GLOBAL_MOST = 16 * 1024  # bytes that count for every member after them: git writes 52
TOTAL_MOST = 256 * 1024**2  # bytes in all: some 1,300 for each of 200,000 members


class _Member(tarfile.TarInfo):
    """Has its header counted before what belongs to it is read."""

    def _proc_member(self, archive: BoundedTar) -> Any:
        archive.count(self)
        return super()._proc_member(archive)  # type: ignore[misc]

    def _proc_gnusparse_10(self, *arguments: Any) -> None:
        raise _sparse(self.name)


class BoundedTar(tarfile.TarFile):
    """Open it with `BoundedTar.open`; `each()` gives what is in it, once."""

    tarinfo = _Member
    before = headers = everywhere = total = 0

    def count(self, header: tarfile.TarInfo) -> None:
        """Take note of a header. Raises SourceError."""
        if header.size < 0:
            raise SourceError(
                "The source is a tar with a negative size in it; make it again.", id="source_invalid"
            )
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse(header.name)
        if header.type not in BEFORE:
            self.before = self.headers = 0
            return
        self.before, self.headers, self.total = (
            self.before + header.size,
            self.headers + 1,
            self.total + header.size,
        )
        self.everywhere += header.size if header.type in GLOBAL else 0
        if (
            self.before > MEMBER_MOST
            or self.headers > MEMBER_HEADERS
            or self.everywhere > GLOBAL_MOST
            or self.total > TOTAL_MOST
        ):
            raise SourceError(
                "The source is a tar whose headers (long names, extended attributes) are larger than any source needs. "
                "Make it again without attributes: tar --format=ustar, or git archive.",
                id="source_invalid",
            )

    def each(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members. tarfile would keep every one of them, with its headers."""
        for member in self:
            self.members: list[tarfile.TarInfo] = []
            yield member


def _sparse(name: str) -> SourceError:
    return SourceError(
        f"{name!r} in the source is a sparse file; make the archive without --sparse.", id="source_invalid"
    )
