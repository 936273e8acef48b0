"""NLTK's data, as nltk.txt lists it.

In: an app with nltk.txt and NLTK installed.  Out: `.venv/nltk_data`, where NLTK looks by itself, or a BuildError.
"""

from __future__ import annotations

from pathlib import Path

from ..command import run
from ..errors import BuildError
from ..tree_cache import key_of, restore, save
from ..workspace import Workspace
from .python_plans import VENV

COMMITTED = "nltk_data"


def download_nltk_data(work: Workspace) -> None:
    """Fetch what nltk.txt names, or take it from the cache."""
    names = wanted(work.app / "nltk.txt")
    if not names:
        return
    if not list(work.app.glob(f"{VENV}/lib/python*/site-packages/nltk")):
        work.output.warn("nltk.txt has no effect: nltk is not among the dependencies.")
        return
    if (work.app / COMMITTED).is_dir():
        work.output.info(f"{COMMITTED}/ is part of the commit: nothing is downloaded")
        return
    folder = work.app / VENV / "nltk_data"
    key = key_of(names)
    if restore(work.cache, "nltk", key, folder):
        work.output.step("nltk.txt unchanged: data restored from the cache")
        return
    work.output.step(f"Downloading NLTK data: {' '.join(names)}")
    argv = [str(work.app / VENV / "bin" / "python"), "-m", "nltk.downloader", "-d", str(folder), *names]
    done = run(argv, cwd=work.app, env=work.env, output=None)
    if done.code != 0 or "Error loading" in done.text or not folder.is_dir():
        raise refused(names, done.lines)
    save(work.cache, "nltk", key, folder)


def wanted(file: Path) -> list[str]:
    if not file.is_file():
        return []
    return file.read_bytes().decode("utf-8-sig", "replace").split()


def refused(names: list[str], lines: tuple[str, ...]) -> BuildError:
    causes = tuple(line.strip()[:200] for line in lines if "rror" in line)[:4]
    return BuildError(
        "nltk_data_unavailable",
        f"The NLTK data that nltk.txt names could not be downloaded: {', '.join(names[:6])}.",
        details=causes,
        hint=f"Correct the names, or commit the data as {COMMITTED}/: builds without a way to the internet need that.",
    )


def nltk_env(app: Path) -> dict[str, str]:
    """Data in the commit is not where NLTK looks by itself."""
    return {"NLTK_DATA": f"{app}/{COMMITTED}"} if (app / COMMITTED).is_dir() else {}
