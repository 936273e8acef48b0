"""The launcher of an app that Cloud Native Buildpacks built: one shell program, whatever the run image has.

In: the layers for launch as they lie in the slug, the processes.  Out: `.paas/launch` and what it reads.
It knows a process by its command, so `launch -c COMMAND` is all that a host, `paas run` or podman has to say.
Specification: buildpack.md, "Launch".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .exec_d import EXEC_D
from .processes import Process
from .variables import LAUNCH_PATHS, Action, Change, folder_changes, path_changes

LAUNCH = r"""#!/bin/sh
# Starts one process: `launch -c COMMAND`. A command that a buildpack declared gets that process type's environment.
[ "${1:-}" = -c ] && shift
cd @APP@ || exit 1
export HOME=@APP@
prepend() { eval "cnb_old=\${$1:-}"; export "$1=$3${cnb_old:+$2$cnb_old}"; }
append() { eval "cnb_old=\${$1:-}"; export "$1=${cnb_old:+$cnb_old$2}$3"; }
default() { eval "cnb_old=\${$1:-}"; [ -n "$cnb_old" ] || export "$1=$3"; }
override() { export "$1=$3"; }
set_by() {
  cnb_said=$("$1" 3>&1 >&4 4>&-) || { echo "launch: $1 ended with exit code $?" >&2; exit 1; }
  [ -n "$cnb_said" ] || return 0
  cnb_said=$(printf '%s\n' "$cnb_said" | LC_ALL=C awk -f @APP@/.paas/cnb/exec-d.awk) ||
    { echo "launch: what $1 wrote to file descriptor 3 cannot be read: $cnb_said" >&2; exit 1; }
  eval "$cnb_said"
}
cnb_process= cnb_direct= cnb_folder=@APP@
case "${1:-}" in
@KNOWN@esac
@CHANGES@exec 4>&1
@EXEC_D@exec 4>&-
unset cnb_old cnb_said
if [ -n "$cnb_direct" ]; then
  cd "$cnb_folder" || exit 1
  case "$cnb_process" in
@DIRECT@  esac
fi
command -v bash > /dev/null && exec bash @APP@/.paas/cnb/shell "$cnb_process" "$cnb_folder" "${1:-}"
exec sh @APP@/.paas/cnb/shell "$cnb_process" "$cnb_folder" "${1:-}"
"""

SHELL = r"""# Reads what is sourced before a process that runs in a shell: `shell TYPE FOLDER COMMAND`.
cnb_process=$1 cnb_folder=$2 cnb_command=$3
shift 3
@PROFILE@for cnb_file in .profile.d/*.sh; do
  [ -r "$cnb_file" ] && . "./$cnb_file"
done
[ -r .profile ] && . ./.profile
cd "$cnb_folder" || exit 1
exec @APP@/.paas/run "$cnb_command"
"""


@dataclass(frozen=True)
class Launched:
    """The layers of one buildpack that are there at launch, sorted by name."""

    layers: tuple[Path, ...]


def write_launcher(app: Path, packs: Sequence[Launched], commands: dict[str, tuple[str, Process]]) -> None:
    """Write the three files; `.paas/run` beside them is every app's."""
    folder = app / ".paas" / "cnb"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "exec-d.awk").write_text(EXEC_D, "utf-8")
    types = {one.type for _, one in commands.values()}
    parts = {"APP": shlex.quote(str(app)), "PROFILE": "".join(_every(packs, types, "profile.d", "."))}
    shell = re.sub("@([A-Z_]+)@", lambda found: parts[found[1]], SHELL)
    (folder / "shell").write_text(shell, "utf-8", "surrogateescape")
    program = app / ".paas" / "launch"
    program.write_text(launch_text(app, packs, commands), "utf-8", "surrogateescape")
    program.chmod(0o755)


def launch_text(app: Path, packs: Sequence[Launched], commands: dict[str, tuple[str, Process]]) -> str:
    parts = {
        "KNOWN": "".join(_known(app, text, one) for text, one in commands.values()),
        "CHANGES": "".join(_changes(packs, {one.type for _, one in commands.values()})),
        "EXEC_D": "".join(_every(packs, {one.type for _, one in commands.values()}, "exec.d", "set_by")),
        "DIRECT": "".join(
            f"  {shlex.quote(one.type)}) exec {shlex.join(one.argv)} ;;\n"
            for one in {one.type: one for _, one in commands.values()}.values()
            if one.direct
        ),
    }
    parts["APP"] = shlex.quote(str(app))
    return re.sub("@([A-Z_]+)@", lambda found: parts[found[1]], LAUNCH)


def _known(app: Path, text: str, process: Process) -> str:
    folder = str(app / process.working_dir) if process.working_dir else ""
    words = [f"cnb_process={shlex.quote(process.type)}"]
    words += ["cnb_direct=yes"] if process.direct else []
    words += [f"cnb_folder={shlex.quote(folder)}"] if folder else []
    return f"{shlex.quote(text)}) {' '.join(words)} ;;\n"


def _changes(packs: Sequence[Launched], types: set[str]) -> Iterator[str]:
    """Each buildpack's folders first, then its layers' variables, for all processes and for one."""
    for pack in packs:
        yield from map(_line, path_changes(pack.layers, LAUNCH_PATHS))
        for layer in pack.layers:
            for folder in (layer / "env", layer / "env.launch"):
                yield from map(_line, folder_changes(folder))
            for type in sorted(types):
                lines = [_line(one) for one in folder_changes(layer / "env.launch" / type)]
                yield from (_only(type, line) for line in lines)


def _line(change: Change) -> str:
    between = change.between if change.action in (Action.APPEND, Action.PREPEND) else ""
    words = (change.name, between, change.value)
    return f"{change.action} {' '.join(shlex.quote(word) for word in words)}\n"


def _only(type: str, line: str) -> str:
    return f'[ "$cnb_process" = {shlex.quote(type)} ] && {line}'


def _every(packs: Sequence[Launched], types: set[str], folder: str, word: str) -> Iterator[str]:
    """Lines that run `word` with each file of the layers' `folder`: those for every process before those for one."""
    layers = [layer for pack in packs for layer in pack.layers]
    for layer in layers:
        yield from (f"{word} {shlex.quote(str(file))}\n" for file in _files(layer / folder))
    for type in sorted(types):
        for layer in layers:
            for file in _files(layer / folder / type):
                yield _only(type, f"{word} {shlex.quote(str(file))}\n")


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_file()) if folder.is_dir() else []
