"""The OCI runtimes of a host: the one that its agent is set to, and others that an app may choose.

In: settings and this machine.  Out: `Runtime` values; which one made a container is written beside its config.json,
so that it is also the one that ends it, whatever the settings say by then.
Each must speak the command line that crun and runc share: create, start, state, kill, delete, exec.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from runtime.container.layout import Layout
from runtime.container.port import EngineError
from runtime.model import OfferedRuntime, Struct, decode, encode

KNOWN = {"crun": "crun", "runc": "runc", "runsc": "runsc", "kata": "kata-runtime", "krun": "krun"}
_VIRTUAL = frozenset({"kata", "kata-runtime", "krun"})  # each container is a virtual machine
_TAKES_BPF = frozenset({"crun", "krun"})
_KVM = Path("/dev/kvm")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}\Z")
_FILE = "runtime.json"
_VERSION_TAKES = 10.0  # seconds


class Runtime(Struct):
    """One of them. `state` is the folder in which it keeps its containers."""

    name: str
    path: str
    state: str

    @property
    def takes_bpf(self) -> bool:
        """It loads a compiled filter from an annotation; others compile config.json's themselves."""
        return Path(self.path).name in _TAKES_BPF

    @property
    def makes_network(self) -> bool:
        """With a user namespace it must make the network namespace too: runc enters the user namespace first, and
        from there no longer gets into one of the host (`runc exec`: "failed to setns into net namespace")."""
        return Path(self.path).name == "runc"


class Runtimes:
    """Those of one agent. `default` is its setting; the others go by the names they were given."""

    def __init__(self, layout: Layout, default: str, others: Mapping[str, str] | None) -> None:
        self._layout = layout
        name = Path(default).name
        self.default = Runtime(name=name, path=default, state=str(layout.state))
        self._others = _found() if others is None else dict(others)
        self._others.pop(name, None)
        self._versions = {one.path: _version(one.path) for one in self._all()}

    def choose(self, name: str) -> Runtime:
        """Return the runtime of that name, '' for the default. Raises EngineError when it cannot be used here."""
        chosen = next((one for one in self._all() if name in ("", one.name)), None)
        if chosen is None:
            there = ", ".join(one.name for one in self._all())
            raise EngineError(
                f"The runtime {name!r} is not installed on this host, which has {there}: install it, or name it in "
                "PAAS_AGENT_RUNTIMES."
            )
        if problem := problem_of(chosen):
            raise EngineError(problem)
        return chosen

    def offered(self) -> tuple[OfferedRuntime, ...]:
        """Return what a host report says: the default first."""
        return tuple(
            OfferedRuntime(name=one.name, version=self._versions.get(one.path, ""), problem=problem_of(one))
            for one in self._all()
        )

    def _all(self) -> list[Runtime]:
        more = (Runtime(name=n, path=p, state=str(self._layout.state_of(n))) for n, p in self._others.items())
        return [self.default, *more]


def problem_of(runtime: Runtime) -> str:
    """Say why a runtime cannot be used on this host, '' when it can."""
    if shutil.which(runtime.path) is None:
        return f"The runtime {runtime.name} is set to {runtime.path}, which is not an executable file on this host."
    virtual = _VIRTUAL & {runtime.name, Path(runtime.path).name}
    if virtual and not _KVM.exists():
        return (
            f"The runtime {runtime.name} runs containers in virtual machines, and this host has no /dev/kvm: "
            "enable virtualization in its firmware and load kvm_intel or kvm_amd, or choose another host or runtime."
        )
    return ""


def read_setting(text: str) -> dict[str, str] | None:
    """Read `NAME=PATH, NAME, …`; a bare name is looked up on PATH. None: whatever is found. 'none': no other.

    Raises ValueError.
    """
    if not text:
        return None
    chosen: dict[str, str] = {}
    for word in () if text == "none" else text.split(","):
        name, equals, path = word.strip().partition("=")
        if not _NAME.match(name) or (equals and not path.startswith("/")):
            raise ValueError(
                f"'{word.strip()}' is not NAME or NAME=/PATH; write for example runsc=/usr/bin/runsc."
            )
        program = KNOWN.get(name, name)
        chosen[name] = path or shutil.which(program) or program
    return chosen


def remember(bundle: Path, runtime: Runtime) -> None:
    """Write down which runtime makes the container, before it does. Not synced to disk, nor read before it is whole."""
    (bundle / _FILE).write_bytes(encode(runtime))


def maker_of(layout: Layout, container: str, default: str) -> Runtime:
    """Return the runtime that made a container; the default for those from before there was a choice."""
    with contextlib.suppress(OSError, ValueError):
        return decode((layout.bundle(container) / _FILE).read_bytes(), Runtime)
    return Runtime(name=Path(default).name, path=default, state=str(layout.old_state))


def _found() -> dict[str, str]:
    paths = {name: shutil.which(program) for name, program in KNOWN.items()}
    return {name: path for name, path in paths.items() if path}


def _version(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_TAKES, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout.splitlines() or [""])[0].strip()[:60]
