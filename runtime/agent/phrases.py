"""The agent's own log lines, in the words Heroku users know.

In: what happened to a container.  Out: the text of a SYSTEM line. Pure.
"""

from __future__ import annotations

import shlex

from runtime.agent.health import Problem
from runtime.model import ContainerSpec, ExitInfo, ExitReason, InstanceState, Limits

SHOWN = {
    InstanceState.PENDING: "starting",
    InstanceState.STARTING: "starting",
    InstanceState.UP: "up",
    InstanceState.UNHEALTHY: "unhealthy",
    InstanceState.CRASHED: "crashed",
}
MEBIBYTE = 1024**2


def starting(spec: ContainerSpec) -> str:
    """The command as its author wrote it: what a shell is given with -c, else the words joined."""
    if spec.bundle:
        return f"Starting the bundle {spec.bundle}"
    shell = len(spec.argv) >= 3 and spec.argv[-2] in ("-c", "-lc")
    return f"Starting process with command `{spec.argv[-1] if shell else shlex.join(spec.argv)}`"


def exited(exit: ExitInfo) -> str:
    if exit.reason is ExitReason.NOT_STARTED:
        return f"Process could not be started: {exit.message}"
    if exit.reason is ExitReason.LOST:
        return "Process ended; its exit status is unknown because its supervisor died"
    words = {ExitReason.NOT_FOUND: ": command not found", ExitReason.NOT_EXECUTABLE: ": not executable"}
    code = exit.code if exit.code is not None else "unknown"
    return f"Process exited with status {code}{words.get(exit.reason, '')}"


def state_changed(old: InstanceState, new: InstanceState) -> str:
    """'' when there is nothing to say."""
    if old not in SHOWN or new not in SHOWN or SHOWN[old] == SHOWN[new]:
        return ""
    return f"State changed from {SHOWN[old]} to {SHOWN[new]}"


def boot_timeout(spec: ContainerSpec, seconds: float, problem: Problem | None = None) -> str:
    """Heroku's words where nothing listens, else what the check found."""
    found = why_late(problem)
    what = (
        "Web process failed to bind to $PORT"
        if spec.port and not found
        else "Process failed to become healthy"
    )
    why = f": {found}" if found else ""
    return f"Error R10 (Boot timeout) -> {what} within {seconds:g} seconds of launch{why}"


def why_late(problem: Problem | None) -> str:
    """'' for one that does not listen: its exit reason says so."""
    return problem.words if problem and problem.listens else ""


def never_healthy(seconds: float, problem: Problem | None) -> str:
    return f"it was not healthy within {seconds:g} seconds{_because(problem)}"


def out_of_memory(spec: ContainerSpec) -> str:
    limit = spec.limits.memory_bytes // MEBIBYTE
    return f"Error R15 (Memory quota vastly exceeded) -> Process killed: it needed more than its {limit} MB"


def check_failed(times: int, problem: Problem | None = None) -> str:
    return f"Health check failed {times} times in a row{_because(problem)}; restarting process"


def why_unhealthy(times: int, problem: Problem | None) -> str:
    return f"its health check failed {times} times in a row{_because(problem)}"


def unhealthy(problem: Problem) -> str:
    return f"Health check failed: {problem.words}"


def _because(problem: Problem | None) -> str:
    return f": {problem.words}" if problem else ""


def limits_changed(limits: Limits) -> str:
    cores = "" if limits.cpu_cores is None else f", {limits.cpu_cores:g} CPU"
    return f"Limits changed without a restart: {limits.memory_bytes // MEBIBYTE} MB{cores}, {limits.pids} processes"


def limits_refused(why: str) -> str:
    return f"Limits could not be changed without a restart: {why}"


def stopping() -> str:
    return "Stopping all processes with SIGTERM"


def hanging_up(why: str) -> str:
    return f"Stopping process with SIGHUP: {why}"


def exit_timeout(seconds: float) -> str:
    return f"Error R12 (Exit timeout) -> At least one process failed to exit within {seconds:g} seconds of SIGTERM"


def killing() -> str:
    return "Stopping remaining processes with SIGKILL"


def job_timeout(seconds: float) -> str:
    return f"Job took longer than its {seconds:g} seconds and is stopped"


def fetching_failed(message: str) -> str:
    return f"Image could not be fetched, trying again: {message}"
