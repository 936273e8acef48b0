"""Why a source cannot be had.

In: what was found.  Out: an InvalidParams whose id says which kind of trouble it is.
"""

from __future__ import annotations

from paas.errors import InvalidParams


class SourceError(InvalidParams):
    """`source_unavailable`: it did not come. `source_forbidden`: it may not be asked for. `source_invalid`: it came and
    is of no use."""

    id = "source_unavailable"
