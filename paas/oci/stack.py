"""An image made into a stack: what the platform's containers count on is there, whoever made the image.

In: a run image, perhaps a build image.  Out: what to change in their trees, and which layers are the build image's
alone. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from paas.oci.accounts import ID_MAX
from paas.oci.errors import ImageError
from paas.oci.flatten import Flattened, Wish
from paas.oci.layers import Layer

APP_ID = 1000  # the user that apps run as
APP_NAMES = ("app", "paas-app")
DIRECTORIES = (
    *((name, 0o755, 0) for name in ("dev", "proc", "sys", "etc", "run", "usr", "var")),
    *((name, 0o1777, 0) for name in ("tmp", "var/tmp")),
    *((name, 0o755, APP_ID) for name in ("app", "cache")),
)


def wish(name: str, above: int = 0) -> Wish:
    """Return what a stack's tree is given: the app's user and folders, places to mount on, its name, no identity."""
    edits = {
        "etc/passwd": add_user,
        "etc/group": add_group,
        "etc/paas-stack": lambda _: f"{name}\n".encode(),
        "etc/machine-id": lambda _: b"",
    }
    return Wish(edits=edits, directories=DIRECTORIES, above=above)


def add_user(passwd: bytes) -> bytes:
    return _add(passwd, f":x:{APP_ID}:{APP_ID}:app:/app:/bin/sh\n")


def add_group(group: bytes) -> bytes:
    return _add(group, f":x:{APP_ID}:\n")


def _add(text: bytes, rest: str) -> bytes:
    """Append a line for the app's id unless there is one: some images have a user of that number."""
    rows = [line.split(":") for line in text.decode(errors="surrogateescape").splitlines()]
    if any(len(row) > 2 and row[2] == str(APP_ID) for row in rows):
        return text
    name = next(name for name in APP_NAMES if name not in {row[0] for row in rows})
    return text + (b"" if not text or text.endswith(b"\n") else b"\n") + f"{name}{rest}".encode()


def shared_layers(run: Sequence[Layer], build: Sequence[Layer]) -> int:
    """Return how many layers of a build image are the run image itself: all of that one's, or none."""
    same = len(run) <= len(build) and all(a.digest == b.digest for a, b in zip(run, build, strict=False))
    return len(run) if same else 0


def check(run: Flattened, build: Flattened | None) -> None:
    """Raise ImageError for images that no app can be built or run on."""
    if not run.shell:
        raise ImageError(
            "The image has no /bin/sh, which starts every process of an app; choose another one."
        )
    if not run.python and not (build and build.python):
        raise ImageError(
            "Neither image has a python3 in /usr/bin, which builds need; give one that has as --build.",
        )
    assert ID_MAX > APP_ID
