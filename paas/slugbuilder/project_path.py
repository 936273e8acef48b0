"""One folder of a repository as the whole app: a monorepo.

In: paths of the source.  Out: those below the folder, relative to it; a BuildError that lists the folders there are.
"""

from __future__ import annotations

from .errors import BuildError

FOLDERS_KEPT = 10_000  # for the message
SHOWN = 20


class Part:
    """The folder `below`, slashes at its ends left out; '' is all of the source."""

    def __init__(self, below: str) -> None:
        self._below = below.strip("/")
        self._found = not self._below
        self._folders: set[str] = set()

    def inside(self, path: str, folder: bool) -> str:
        """Return a path as the app sees it, '' for what is no part of it."""
        if not self._below:
            return path
        self._note(path, folder)
        if path == self._below:
            if not folder:
                raise BuildError(
                    "project_path_missing",
                    f"The project path {self._below} is a file, not a folder.",
                    hint="Name the folder of the app: paas source:path FOLDER, or the config var PROJECT_PATH.",
                )
            self._found = True
            return ""
        if not path.startswith(f"{self._below}/"):
            return ""
        self._found = True
        return path[len(self._below) + 1 :]

    def _note(self, path: str, folder: bool) -> None:
        parts = path.split("/") if folder else path.split("/")[:-1]
        if len(self._folders) < FOLDERS_KEPT:
            self._folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))

    def check(self) -> None:
        """Raise BuildError when the folder was not there."""
        if self._found:
            return
        there, names = self._nearest()
        listed = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
        where = f"in {there}" if there else "in the root of the source"
        raise BuildError(
            "project_path_missing",
            f"There is no folder {self._below} in the source.",
            details=(f"Folders {where}: {listed or 'none'}",),
            hint="Correct it with `paas source:path FOLDER` (`paas source:path --clear` for the whole repository), "
            "or the config var PROJECT_PATH.",
        )

    def _nearest(self) -> tuple[str, list[str]]:
        """Return the last folder on the way that is there, and what folders are in it."""
        parts = self._below.split("/")
        there = next(
            (
                path
                for depth in range(len(parts) - 1, 0, -1)
                if (path := "/".join(parts[:depth])) in self._folders
            ),
            "",
        )
        start = f"{there}/" if there else ""
        inner = (one[len(start) :] for one in self._folders if one.startswith(start))
        return there, sorted(name for name in inner if name and "/" not in name)
