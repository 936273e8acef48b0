"""Apps that bring everything themselves: files and a Procfile.

In: a tree with a Procfile and nothing that another buildpack knows.  Out: the same tree.
"""

from __future__ import annotations

from pathlib import Path

from ..workspace import Buildpack, Compiled, Workspace


def detect(app: Path) -> bool:
    return (app / "Procfile").is_file()


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Procfile app: nothing to install")
    return Compiled(version="", no_web="The Procfile names no web process, so nothing will answer HTTP.")


PROCFILE = Buildpack("procfile", "Procfile", "Procfile", detect, compile_app)
