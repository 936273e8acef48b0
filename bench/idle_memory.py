#!/usr/bin/env python3
"""Memory of a running platform, process by process.

In: the platform's data folder (PAAS_HOME or the first argument).  Out: PSS (proportional set size: shared pages are
divided among those that share them) per process and in all, against the budget. Exit status 1 when over it.
Containers and their conmon are the apps' memory and are listed apart.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

BUDGET_MB = 450
APPS = ("conmon", "crun", "catatonit")


@dataclass(frozen=True)
class Row:
    """A process. `kind`: the platform's name for it."""

    pid: int
    kind: str
    pss: int  # kB
    command: str


def main() -> int:
    home = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PAAS_HOME", "/var/lib/paas")
    rows = [row for row in (_row(int(entry.name), home) for entry in Path("/proc").glob("[0-9]*")) if row]
    if not any(row.kind == "supervisor" for row in rows):
        print(f"No platform runs in {home}; start one: PAAS_HOME={home} script/up --no-sample")
        return 2
    platform = [row for row in rows if row.kind != "app"]
    totals: dict[str, int] = defaultdict(int)
    for row in platform:
        totals[row.kind] += row.pss
    for row in sorted(platform, key=lambda row: (row.kind, row.pid)):
        print(f"{row.kind:<11} {row.pid:>7} {row.pss / 1024:8.1f} MB  {row.command[:90]}")
    print()
    for kind, pss in sorted(totals.items(), key=lambda item: -item[1]):
        print(f"{kind:<11} {pss / 1024:8.1f} MB")
    total = sum(totals.values()) / 1024
    apps = sum(row.pss for row in rows if row.kind == "app") / 1024
    print(f"{'in all':<11} {total:8.1f} MB  = {total / BUDGET_MB:.2f} of the budget of {BUDGET_MB} MB")
    if apps:
        print(f"{'apps':<11} {apps:8.1f} MB  (container monitors)")
    return 0 if total <= BUDGET_MB else 1


def _row(pid: int, home: str) -> Row | None:
    """Return the process if it belongs to the platform of `home`."""
    folder = Path(f"/proc/{pid}")
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        environ = (folder / "environ").read_bytes().split(b"\0")
        name = (folder / "comm").read_text().strip()
        ours = f"SUPERVISED_BY={home}".encode() in environ or f"{home}/" in command
        supervisor = f"PAAS_HOME={home}".encode() in environ and "paas.supervisor up" in command
        if not (ours or supervisor) or pid == os.getpid():
            return None
        rollup = (folder / "smaps_rollup").read_text().splitlines()
    except (OSError, ValueError):
        return None
    pss = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return Row(pid, "app" if name in APPS else _kind(command), pss, command)


def _kind(command: str) -> str:
    marks = {
        "paas.supervisor": "supervisor",
        "redis-server": "redis",
        "paas.wsgi": "web",
        "paas.git_wsgi": "git",
        " worker ": "worker",
        " beat ": "beat",
        "runtime agent": "agent",
        "haproxy": "haproxy",
        "paas.router": "router",
        "paas.gateway": "gateway",
    }
    return next((kind for mark, kind in marks.items() if mark in command), "other")


if __name__ == "__main__":
    sys.exit(main())
