"""What is done in a container that runs.

In: nothing.  Out: types.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from runtime.model.base import Struct


class ExecSpec(Struct):
    """A further process in a running container, in its sandbox and environment; `env` is added to it.

    `cwd` '' means the container's own. With `tty` it gets a terminal of `rows` by `columns` (0: not known).
    """

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = ""
    tty: bool = False
    rows: int = 0
    columns: int = 0


class CopySpec(Struct):
    """Files into a running container (`into`: a tar stream comes as input) or out of it (it comes as output).

    `path` is absolute inside. Out: the file or folder, under its own name. Into: a folder that is there, or ends with
    `/`, gets what comes; else what comes is put at `path`, under that name. Read and written as the app's user, within
    its limits.
    """

    path: str
    into: bool = False


class ExecMade(Struct):
    """A process that starts when somebody attaches to `/v1/containers/ID/execs/{id}`, within a minute."""

    id: str


class SignalRequest(Struct):
    """Send `number` to the first process of a container; 9 ends the whole of it."""

    number: Annotated[int, msgspec.Meta(ge=1, le=64)]
