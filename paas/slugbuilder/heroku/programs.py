"""The programs of one third-party buildpack: detect, compile, release, export.

In: its folder, BUILD_DIR, CACHE_DIR, ENV_DIR, an environment.  Out: what they said, or a BuildError.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..command import run
from ..errors import BuildError
from ..workspace import Workspace
from .references import Reference
from .release_yaml import Release, parse_release

SHORT_SECONDS = 120.0  # for detect, release and export, which only look
MOST_SAID = 64 * 1024  # bytes
SHELLS_OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})


def run_detect(folder: Path, reference: Reference, work: Workspace, env: Mapping[str, str]) -> str:
    """Return the name that bin/detect prints. Raises BuildError when the buildpack does not fit."""
    code, said, told = ask([str(folder / "bin" / "detect"), str(work.app)], work, env)
    if code:
        raise not_fitting(reference, f"bin/detect ended with exit code {code}", _last(said + told))
    return next((line.strip() for line in said.splitlines() if line.strip()), reference.text)[:200]


def not_fitting(reference: Reference, why: str, details: tuple[str, ...] = ()) -> BuildError:
    message = f"The buildpack {reference.text} does not fit this app: {why}."
    hint = "Add the files that it looks for, or choose others with `paas buildpacks:set` or the file .buildpacks."
    return BuildError("buildpack_not_fitting", message, details=details, hint=hint)


def run_compile(
    folder: Path, name: str, work: Workspace, cache: Path, env_dir: Path, env: Mapping[str, str]
) -> None:
    """Stream bin/compile's lines as they come. Raises BuildError when it fails."""
    argv = [str(folder / "bin" / "compile"), str(work.app), str(cache), str(env_dir)]
    done = run(argv, cwd=work.app, env=env, output=work.output, raw=True)
    if done.code:
        how = f"was ended by signal {-done.code}" if done.code < 0 else f"ended with exit code {done.code}"
        raise BuildError(
            "buildpack_compile_failed",
            f"The buildpack {name} failed: bin/compile {how}.",
            hint="Its own output is above.",
        )


def run_release(folder: Path, name: str, work: Workspace, env: Mapping[str, str]) -> Release:
    """Return what bin/release declares; nothing where there is none."""
    program = folder / "bin" / "release"
    if not program.is_file():
        return Release()
    code, said, told = ask([str(program), str(work.app)], work, env)
    if code:
        message = f"The buildpack {name} failed: bin/release ended with exit code {code}."
        raise BuildError("buildpack_release_invalid", message, details=_last(told))
    try:
        return parse_release(said)
    except ValueError as error:
        message = f"What bin/release of the buildpack {name} prints cannot be read: {error}."
        hint = "It must be `default_process_types:` and `config_vars:` with `name: value` lines below them."
        raise BuildError("buildpack_release_invalid", message, hint=hint) from error


def exported(folder: Path, name: str, work: Workspace, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment after the buildpack's `export`: the next one's."""
    if not (folder / "export").is_file():
        return dict(env)
    script = '. "$1" >&2 && exec env -0'
    code, said, told = ask(["bash", "-c", script, "export", str(folder / "export")], work, env)
    if code:
        message = f"The buildpack {name} failed: its file export ended with exit code {code}."
        raise BuildError("buildpack_compile_failed", message, details=_last(told))
    pairs = (entry.partition("=") for entry in said.split("\0") if "=" in entry)
    return {
        key: value for key, _, value in pairs if key not in SHELLS_OWN and not key.startswith("BASH_FUNC_")
    }


def _last(text: str) -> tuple[str, ...]:
    return tuple(text.splitlines()[-20:])


class TookTooLong(BuildError):
    """A program that only looks did not end in time."""


def ask(
    argv: list[str], work: Workspace, env: Mapping[str, str], seconds: float = SHORT_SECONDS
) -> tuple[int, str, str]:
    """Run a short program. Returns exit code, stdout and stderr, through files: neither can fill the memory."""
    out, err = work.scratch / "said", work.scratch / "told"
    with out.open("wb") as said, err.open("wb") as told:
        try:
            process = subprocess.Popen(
                argv,
                cwd=work.app,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=told,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildError("tool_missing", f"{argv[0]} could not be started: {error.strerror}.") from error
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            message = f"{argv[0]} took longer than {seconds:.0f} seconds and was stopped."
            raise TookTooLong("buildpack_compile_failed", message) from error
    return code, _read(out), _read(err)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MOST_SAID).decode("utf-8", "replace")
