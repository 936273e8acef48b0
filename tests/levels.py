"""Runs the levels of the tests: several at once in two lanes, then what must have the machine to itself.

In: names of levels, arguments for pytest.  Out: what each step printed, when it took how long, every failed test once
more in one line at the very end; the exit status.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests import leftovers

LEVELS = ("lint", "unit", "integration", "system", "e2e", "apps")
# Two steps at a time: a test uses about one of two cores, as it waits as much as it works. The long ones begin first.
AT_ONCE = 2
ORDER = ("lint", "unit", "e2e", "system", "integration", "apps")
PORTS = ("20000-25999", "26000-31999")  # of each lane: nobody takes a port that the other has just found free
STEP_SECONDS = 2400.0
END_SECONDS = 90.0  # for a step that was told to stop: its tests clean up
BESIDE, BY_ITSELF = ("-m", "not alone"), ("-m", "alone")
PULSE_SECONDS = 300.0
NO_TESTS = 5  # pytest's exit status
PYTHON = sys.executable
Environ = dict[str, str]


@dataclass(frozen=True)
class Step:
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """`steps` begin in this order, `lanes` of them at a time; those that are `alone` follow one by one."""

    lanes: int
    steps: tuple[Step, ...]
    alone: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Result:
    name: str
    seconds: float
    failed: bool

    def __str__(self) -> str:
        return f"{self.name:<18} {self.seconds:4.0f} s  {'failed' if self.failed else 'ok'}"


# --- what to run ----------------------------------------------------------------------------------------------


def plan(levels: Sequence[str], arguments: Sequence[str]) -> Plan:
    """Two lanes for several levels, unless there are arguments for pytest: those may be anything."""
    if arguments or len(levels) < 2:
        chosen = [level for level in LEVELS if level in levels]
        return Plan(1, tuple(step for level in chosen for step in steps(level, arguments)))
    beside = tuple(step for level in ORDER if level in levels for step in steps(level, BESIDE))
    alone = tuple(
        replace(step, name=f"{step.name} alone")
        for level in LEVELS
        if level in levels and level != "lint"
        for step in steps(level, BY_ITSELF)
    )
    return Plan(AT_ONCE, beside, alone)


def steps(level: str, arguments: Sequence[str]) -> list[Step]:
    if level == "lint":
        return [
            Step("ruff check", (PYTHON, "-m", "ruff", "check", ".")),
            Step("ruff format", (PYTHON, "-m", "ruff", "format", "--check", "--quiet", ".")),
            Step("mypy", (PYTHON, "-m", "mypy")),
            Step("imports", (str(Path(PYTHON).with_name("lint-imports")), "--no-cache")),
        ]
    tests = [_tests(level, level, arguments)]
    if level == "integration":
        again = _tests("postgresql", "integration/controller", arguments)
        tests.append(replace(again, command=("tests/postgres.sh", *again.command)))
    return tests


def _tests(name: str, folder: str, arguments: Sequence[str]) -> Step:
    options = ("-p", "no:cacheprovider", "-p", "tests.failures", "-q", "--durations", "12")
    return Step(name, (PYTHON, "-u", "-m", "pytest", *options, f"tests/{folder}", *arguments))


# --- running --------------------------------------------------------------------------------------------------


class Run:
    """One run: its folder, its results, the processes to stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failures = folder / "failures"
        self.failures.touch()
        self.results: list[Result] = []
        self._threads: list[threading.Thread] = []
        self._began = time.monotonic()
        self._running: dict[subprocess.Popen[bytes], str] = {}
        self._printing = threading.Lock()
        self._stopped = threading.Event()

    def all(self, chosen: Plan) -> None:
        """Run a plan. One lane shows its output while it is made; several show that of a step when it is done."""
        self._side_by_side(chosen.lanes, chosen.steps)
        self._side_by_side(1, chosen.alone)

    def _side_by_side(self, lanes: int, steps: Sequence[Step]) -> None:
        """In threads: this one waits for Ctrl-C."""
        waiting = deque(steps)
        run = self._shown if lanes == 1 else self._kept
        self._threads = [
            threading.Thread(
                target=self._lane, args=(waiting, run, {"PAAS_TEST_PORTS": ports} if lanes > 1 else {})
            )
            for ports in PORTS[:lanes]
        ]
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(PULSE_SECONDS)
                self._say_what_runs(thread)

    def _say_what_runs(self, thread: threading.Thread) -> None:
        """Somebody who sees nothing for long would take the run for dead."""
        if thread.is_alive() and len(self._threads) > 1:
            minutes = (time.monotonic() - self._began) / 60
            print(f"({minutes:.0f} min: {', '.join(self._running.values())})", flush=True)

    def _lane(self, waiting: deque[Step], run: Callable[[Step, Environ], int], environ: Environ) -> None:
        while not self._stopped.is_set():
            try:
                step = waiting.popleft()
            except IndexError:
                return
            began, code = time.monotonic(), 1
            try:
                code = run(step, environ)
            finally:
                if code != NO_TESTS or not step.name.endswith(" alone"):
                    self.note(step.name, began, failed=code != 0)

    def note(self, name: str, began: float, *, failed: bool) -> None:
        self.results.append(Result(name, time.monotonic() - began, failed))

    def _shown(self, step: Step, environ: Environ) -> int:
        print(f"\n== {step.name}", flush=True)
        return self._status(step, environ, None)

    def _kept(self, step: Step, environ: Environ) -> int:
        log = self.folder / f"{step.name.replace(' ', '-')}.log"
        print(f"({step.name} begins)", flush=True)
        with log.open("wb") as output:
            code = self._status(step, environ, output.fileno())
        with self._printing:
            print(f"\n== {step.name}\n{log.read_text(errors='replace')}", end="", flush=True)
        return code

    def _status(self, step: Step, more: Environ, output: int | None) -> int:
        """Run a step to its end. In a session of its own: Ctrl-C reaches it through `stop`, once."""
        environ = clean_environ() | {"PAAS_TEST_FAILURES": str(self.failures)} | more
        if step.name in ("mypy", "imports"):
            environ["PAAS_HOME"] = str(self.folder / "home")
        process = subprocess.Popen(
            step.command, stdout=output, stderr=output, env=environ, start_new_session=True
        )
        self._running[process] = step.name
        try:
            if self._stopped.is_set():
                _interrupt(process)
            return process.wait(STEP_SECONDS)
        except subprocess.TimeoutExpired:
            print(
                f"{step.name} took longer than {STEP_SECONDS / 60:.0f} minutes and was stopped.", flush=True
            )
            _interrupt(process)
            _end(process)
            return 1
        finally:
            del self._running[process]

    def stop(self) -> None:
        """Interrupt what runs, as Ctrl-C does; its tests clean up."""
        self._stopped.set()
        for process in list(self._running):
            _interrupt(process)
        for process in list(self._running):
            _end(process)
        for thread in self._threads:
            thread.join()


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Tell pytest alone: what its tests have started, they end. `postgres.sh` waits for pytest, so tell that too."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    known = children.read_text().split() if children.exists() and "postgres.sh" in str(process.args) else []
    for pid in [*map(int, known), process.pid]:
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            continue


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def clean_environ() -> dict[str, str]:
    """The developer's own platform must neither be met nor changed by the tests."""
    own = {"DJANGO_SETTINGS_MODULE", "REDIS_URL", "DATABASE_URL"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in own and (not name.startswith("PAAS_") or name.startswith("PAAS_TEST_"))
    }


# --- the end --------------------------------------------------------------------------------------------------


def what_is_left(before: set[str]) -> set[str]:
    """The kernel takes a moment to let go of a namespace."""
    deadline = time.monotonic() + 5
    while (left := leftovers.found() - before) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def report(results: Sequence[Result], failures: Sequence[str], seconds: float) -> str:
    """The table, then whatever failed, shortest last: the end of a log is what is read."""
    lines = ["", *map(str, results), ""]
    failed = [one.name for one in results if one.failed]
    minutes = f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if not failed:
        return "\n".join([*lines, f"All passed in {minutes}."])
    return "\n".join([*lines, f"Failed in {minutes}: {', '.join(failed)}", *failures])


def main(words: Sequence[str]) -> int:
    arguments = list(words)
    levels = arguments[: arguments.index("--")] if "--" in arguments else arguments
    extra = arguments[len(levels) + 1 :]
    for level in levels:
        if level not in LEVELS:
            print(f"There is no level '{level}'; levels: {' '.join(LEVELS)}.", file=sys.stderr)
            return 2
    began, before = time.monotonic(), leftovers.found()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background had them ignored
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="paas-test.", dir="/tmp") as folder:
        run = Run(Path(folder))
        try:
            run.all(plan(levels or LEVELS, extra))
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):  # it stops already; ignoring would be inherited
                signal.signal(number, lambda *_: None)
            print("\nStopping; the tests that run clean up first.", flush=True)
            run.stop()
            return 130
        checking, left = time.monotonic(), what_is_left(before)
        run.note("leftovers", checking, failed=bool(left))
        failures = run.failures.read_text().splitlines()
    if left:
        print("\nLeft behind by the tests:", *sorted(left), sep="\n")
    print(report(run.results, failures, time.monotonic() - began))
    return int(any(one.failed for one in run.results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
