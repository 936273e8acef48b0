"""Commands that the operator of a host has run at fixed moments of a container's life, as root.

In: directories of JSON files in the format oci-hooks(5) of containers-common.  Out: `hooks` of config.json.
The OCI runtime runs those of its own steps. Those after the start are run here, as runc 1.1 takes create for
it; and those at the end when the container is removed, so that they run after a failed start, the death of an
agent and a reboot too.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runtime.container import trust
from runtime.container.port import EngineError
from runtime.model import Struct

log = logging.getLogger(__name__)
STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
POSTSTART, POSTSTOP = "poststart", "poststop"
_TAKES = 30.0  # seconds that a hook without a timeout may take after the end
_FIELDS = {"path", "args", "env", "timeout"}

Hooks = dict[str, list[dict[str, Any]]]


class When(Struct):
    """The conditions of a hook: all that are given must hold."""

    always: bool = False
    annotations: dict[str, str] = {}
    commands: tuple[str, ...] = ()
    has_bind_mounts: bool = False


class Configured(Struct):
    """One file: a hook as config.json has it, when it applies, and its stages."""

    hook: dict[str, Any]
    when: When
    stages: tuple[str, ...]


class Subject(Struct):
    """What a hook's conditions are asked of."""

    command: str
    annotations: dict[str, str] = {}
    binds: bool = False


def load(directories: Iterable[Path]) -> tuple[Configured, ...]:
    """Read the files by their names; one of a later directory takes the place of one of the same name before.

    Raises EngineError for a file that cannot be used: a hook may be what keeps apps apart, so none is left out.
    """
    files = {file.name: file for directory in directories for file in sorted(directory.glob("*.json"))}
    return tuple(_read(file) for _, file in sorted(files.items()))


def _read(file: Path) -> Configured:
    try:
        trust.check(file)
        configured = parse(json.loads(file.read_bytes()))
        trust.check(Path(configured.hook["path"]).resolve())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise EngineError(f"The hook {file} cannot be used: {error}") from error
    return configured


def parse(document: Mapping[str, Any]) -> Configured:
    """Read one file of version 1.0.0. Raises ValueError."""
    if document.get("version") != "1.0.0":
        raise ValueError(f"its version {document.get('version')!r} is not 1.0.0.")
    stages = tuple(document.get("stages") or ())
    if not stages or (unknown := [one for one in stages if one not in STAGES]):
        raise ValueError(
            f"its stages must be some of {', '.join(STAGES)}{f', not {unknown}' if stages else ''}."
        )
    when = dict(document.get("when") or {})
    known = {"always", "annotations", "commands", "hasBindMounts"}
    if not when or set(when) - known:
        raise ValueError(f"its 'when' must have some of {', '.join(sorted(known))}, and nothing else.")
    conditions = When(
        always=bool(when.get("always", False)),
        annotations={str(k): str(v) for k, v in (when.get("annotations") or {}).items()},
        commands=tuple(map(str, when.get("commands") or ())),
        has_bind_mounts=bool(when.get("hasBindMounts", False)),
    )
    for pattern in (*conditions.annotations, *conditions.annotations.values(), *conditions.commands):
        re.compile(pattern)
    return Configured(hook=check(document.get("hook")), when=conditions, stages=stages)


def check(hook: Any) -> dict[str, Any]:
    """Return a hook of config.json. Raises ValueError when the runtime spec does not allow it."""
    if not isinstance(hook, dict) or set(hook) - _FIELDS:
        raise ValueError(f"a hook has {', '.join(sorted(_FIELDS))}, and nothing else.")
    path, timeout = hook.get("path"), hook.get("timeout")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"the hook's path {path!r} is not absolute.")
    if timeout is not None and (not isinstance(timeout, int) or timeout <= 0):
        raise ValueError(f"the hook's timeout {timeout!r} is not a number of seconds above 0.")
    return dict(hook)


def matching(configured: Iterable[Configured], subject: Subject) -> Hooks:
    """Return the hooks of a container by stage, in the order of their files. Pure."""
    found: Hooks = {}
    for one in configured:
        if _holds(one.when, subject):
            for stage in one.stages:
                found.setdefault(stage, []).append(one.hook)
    return found


def _holds(when: When, subject: Subject) -> bool:
    conditions = []
    if when.always:
        conditions.append(True)
    if when.annotations:
        conditions.append(
            all(
                any(re.search(key, k) and re.search(value, v) for k, v in subject.annotations.items())
                for key, value in when.annotations.items()
            )
        )
    if when.commands:
        conditions.append(any(re.search(pattern, subject.command) for pattern in when.commands))
    if when.has_bind_mounts:
        conditions.append(subject.binds)
    return bool(conditions) and all(conditions)


def joined(first: Hooks, second: Hooks) -> Hooks:
    """Return both, those of `first` before those of `second` in every stage."""
    return {
        stage: [*first.get(stage, ()), *second.get(stage, ())]
        for stage in STAGES
        if first.get(stage) or second.get(stage)
    }


def keep_aside(place: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Write down the hooks that are run here, before anything is made; return config.json with the runtime's alone.
    `place`: a folder that a reboot does not empty, made if there are any."""
    hooks: Hooks = document.get("hooks", {})
    for stage in (POSTSTART, POSTSTOP):
        if hooks.get(stage):
            place.mkdir(mode=0o700, exist_ok=True)
            (place / f"{stage}.json").write_text(json.dumps(hooks[stage]))
    kept = {stage: those for stage, those in hooks.items() if stage not in (POSTSTART, POSTSTOP)}
    rest = {name: value for name, value in document.items() if name != "hooks"}
    return rest | ({"hooks": kept} if kept else {})


def run_started(place: Path, bundle: Path, container: str, pid: int) -> None:
    """Run those after the start; nothing when there are none, or they ran before. A failing one stops nothing."""
    _run_stage(place, bundle, container, POSTSTART, {"status": "running", "pid": pid})


def run_ended(place: Path, bundle: Path, container: str) -> None:
    """Run those for the end, once the container is gone; nothing when there are none. A failing one stops no other."""
    _run_stage(place, bundle, container, POSTSTOP, {"status": "stopped", "pid": 0})


def _run_stage(place: Path, bundle: Path, container: str, stage: str, told: dict[str, Any]) -> None:
    file = place / f"{stage}.json"
    try:
        hooks = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return
    state = {"ociVersion": "1.0.2", "id": container, "bundle": str(bundle)} | told
    for hook in hooks:
        _run(stage, hook, json.dumps(state))
    file.unlink(missing_ok=True)


def _run(stage: str, hook: Mapping[str, Any], state: str) -> None:
    try:
        done = subprocess.run(
            hook.get("args") or [hook["path"]],
            executable=hook["path"],
            env=dict(line.split("=", 1) for line in hook.get("env") or () if "=" in line),
            input=state,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=hook.get("timeout") or _TAKES,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.error("the %s hook %s could not be run: %s", stage, hook["path"], error)
        return
    if done.returncode != 0:
        words = " ".join(done.stderr.split())[:400]
        log.error("the %s hook %s ended with %s: %s", stage, hook["path"], done.returncode, words)
