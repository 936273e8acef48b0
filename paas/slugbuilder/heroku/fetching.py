"""Buildpacks brought into the build: from the repository, by git, or as an archive.

In: a reference.  Out: a folder of its own in scratch with bin/detect and bin/compile, or a BuildError.
A fetch is bounded in bytes and seconds; redirects may not leave the allowed schemes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from ..errors import BuildError
from ..source import SourceLimits, unpack_source
from ..workspace import Workspace
from .references import WHERE, Reference, Source

MOST_BYTES = 256 * 1024**2  # as it comes, and once more unpacked
MOST_SECONDS = 180.0
LIMITS = SourceLimits(total_bytes=MOST_BYTES, entries=50_000)
PROGRAMS = ("detect", "compile", "release")
CERTIFICATE = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|certificate (verification failed|verify failed)|SSL certificate problem"
)


def bring(reference: Reference, schemes: tuple[str, ...], work: Workspace, folder: Path) -> Path:
    """Return the buildpack's folder, whose programs can be run."""
    root = fetch(reference, schemes, work, folder)
    missing = [f"bin/{name}" for name in PROGRAMS[:2] if not (root / "bin" / name).is_file()]
    if missing:
        raise unreadable(reference, f"it has no {' and no '.join(missing)}")
    for name in PROGRAMS:
        if (root / "bin" / name).is_file():
            (root / "bin" / name).chmod(0o755)
    return root


def fetch(reference: Reference, schemes: tuple[str, ...], work: Workspace, folder: Path) -> Path:
    """Return what a reference names, in a folder of its own."""
    folder.mkdir(parents=True)
    if reference.source is Source.FOLDER:
        return _copied(reference, work.app, folder / "it")
    if reference.source is Source.GIT:
        return _cloned(reference, schemes, work, folder / "it")
    return _unpacked(reference, schemes, work, folder)


def unreadable(reference: Reference, why: str, details: tuple[str, ...] = ()) -> BuildError:
    message = f"The buildpack {reference.text} cannot be used: {why}."
    return BuildError("buildpack_unavailable", message, details=details, hint=f"Correct it {WHERE}")


def unreachable(reference: Reference, why: str, said: str) -> BuildError:
    """A fetch that failed with what the client `said`; a certificate that is not trusted has words of its own."""
    lines = tuple(said.splitlines()[-10:])
    if not CERTIFICATE.search(said):
        return unreadable(reference, why, lines)
    message = f"The buildpack {reference.text} cannot be used: the certificate of its server is not trusted."
    hint = (
        "Use the name that the certificate is for. An authority of your own network is added by the platform's "
        "operator: PAAS_CA_BUNDLE."
    )
    return BuildError("buildpack_unavailable", message, details=lines, hint=hint)


def _copied(reference: Reference, app: Path, target: Path) -> Path:
    """A copy: what the buildpack leaves in its own folder is no part of the app."""
    place = app / reference.place
    if not place.is_dir() or not place.resolve().is_relative_to(app.resolve()):
        raise unreadable(reference, "there is no such folder in the repository")
    shutil.copytree(place, target, symlinks=True)
    return target


def _cloned(reference: Reference, schemes: tuple[str, ...], work: Workspace, target: Path) -> Path:
    deadline = time.monotonic() + MOST_SECONDS
    env = git_environment(work.env, schemes)

    def git(*words: str) -> str:
        return _git(reference, words, target, env, deadline)

    target.mkdir()
    git("init", "-q")
    git("fetch", "-q", "--depth=1", "--no-tags", "--", reference.place, reference.ref or "HEAD")
    listed = git("ls-tree", "-r", "-l", "FETCH_HEAD")
    sizes = [line.split(None, 4)[3] for line in listed.splitlines()]
    if sum(int(size) for size in sizes if size.isdigit()) > MOST_BYTES or len(sizes) > LIMITS.entries:
        raise unreadable(reference, f"it has more than {MOST_BYTES // 1024**2} MB or {LIMITS.entries} files")
    git("checkout", "-q", "--detach", "FETCH_HEAD")
    return target


def git_environment(env: Mapping[str, str], schemes: tuple[str, ...]) -> dict[str, str]:
    """Neither the app's config vars nor anybody's settings of git, and no transport but the allowed ones."""
    kept = {name: env[name] for name in ("HOME", "TMPDIR", "GIT_SSL_CAINFO", "SSL_CERT_FILE") if name in env}
    return kept | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_ALLOW_PROTOCOL": ":".join(schemes),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _git(
    reference: Reference, words: tuple[str, ...], folder: Path, env: Mapping[str, str], deadline: float
) -> str:
    """Run git to its end or to the deadline; no file that it writes may be larger than a buildpack."""
    limited = f'ulimit -f {MOST_BYTES // 512}; exec git "$@"'  # sh counts blocks of 512 bytes
    process = subprocess.Popen(
        ["/bin/sh", "-c", limited, "git", *words],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise unreadable(reference, f"git took longer than {MOST_SECONDS:.0f} seconds") from error
    if process.returncode:
        raise unreachable(reference, f"git {words[0]} ended with {process.returncode}", err)
    return out


def _unpacked(reference: Reference, schemes: tuple[str, ...], work: Workspace, folder: Path) -> Path:
    archive, target = folder / "archive", folder / "it"
    target.mkdir()
    _download(reference, schemes, work.env, archive)
    try:
        unpack_source(archive, target, LIMITS)
    except BuildError as error:
        raise unreadable(reference, "its archive is refused", (error.message,)) from error
    archive.unlink()
    entries = list(target.iterdir())
    inner = len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink()
    return entries[0] if inner and entries[0].name != "bin" else target


class Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, schemes: tuple[str, ...]) -> None:
        self._schemes = schemes

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if newurl.partition(":")[0].lower() not in self._schemes:
            raise URLError(
                f"it redirects to {newurl[:200]}, and buildpacks come by {' or '.join(self._schemes)}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(reference: Reference, schemes: tuple[str, ...], env: Mapping[str, str], target: Path) -> None:
    trust = ssl.create_default_context(cafile=env.get("SSL_CERT_FILE"))
    opener = urllib.request.build_opener(Redirects(schemes), urllib.request.HTTPSHandler(context=trust))
    deadline, size = time.monotonic() + MOST_SECONDS, 0
    try:
        with opener.open(reference.place, timeout=30) as answer, target.open("wb") as file:
            while piece := answer.read1(64 * 1024) if hasattr(answer, "read1") else answer.read(64 * 1024):
                size += len(piece)
                if size > MOST_BYTES:
                    raise unreadable(reference, f"it is larger than {MOST_BYTES // 1024**2} MB")
                if time.monotonic() > deadline:
                    raise unreadable(reference, f"it took longer than {MOST_SECONDS:.0f} seconds")
                file.write(piece)
    except (OSError, ValueError) as error:
        said = str(error) if CERTIFICATE.search(str(error)) else ""
        raise unreachable(reference, f"it could not be fetched ({error})", said) from error
