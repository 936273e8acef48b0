"""`python -m runtime doctor`: a table of what is left on this host that nobody answers for.

In: settings, and whether to repair.  Out: exit status 0 when clean (or all repaired), 1 with findings.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runtime.client import AgentClient, AgentUnavailable
from runtime.config import Settings
from runtime.container.port import EngineError
from runtime.doctor.offline import examine_home
from runtime.model import DoctorReport, Finding

PROGRAMS = ("conmon", "mksquashfs", "nft", "catatonit")
GIBIBYTE = 1024**3


def run(settings: Settings, client: AgentClient, *, repair: bool) -> int:
    """Ask the agent; without one look at the host itself."""
    healthy = _check_host(settings)
    report = _ask(client, repair=repair)
    if report is None:
        print("--  no agent runs here: judged by what is on disk")
        try:
            report = examine_home(settings, repair=repair)
        except (EngineError, OSError) as error:
            print(f"This host cannot be examined: {error}", file=sys.stderr)
            return 1
    if report is None:
        print("An agent runs here but does not answer; look at its log, or restart it.", file=sys.stderr)
        return 1
    for line in render(report.findings):
        print(line)
    open_ = sum(not finding.repaired for finding in report.findings)
    print(summary(report.findings))
    return 0 if healthy and not open_ else 1


def _ask(client: AgentClient, *, repair: bool) -> DoctorReport | None:
    try:
        report = client.report()
    except AgentUnavailable:
        return None
    print(f"ok  the agent of host {report.host} answers")
    print(f"ok  {report.capacity.cpus} processors, {report.capacity.memory_bytes // 1024**2} MB of memory")
    return client.doctor(repair=repair)


def _check_host(settings: Settings) -> bool:
    if settings.home.exists():
        free = os.statvfs(settings.home)
        gigabytes = free.f_bavail * free.f_frsize / GIBIBYTE
        print(f"{'ok ' if gigabytes > 2 else 'LOW'} {gigabytes:.1f} GB free in {settings.home}")
    missing = [name for name in (settings.runtime, *PROGRAMS) if not _on_path(name)]
    print("ok  every program is there" if not missing else f"NO  missing programs: {', '.join(missing)}")
    return not missing


def _on_path(name: str) -> bool:
    folders = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    return (Path(name).is_absolute() and Path(name).exists()) or any(Path(f, name).exists() for f in folders)


def render(findings: tuple[Finding, ...]) -> list[str]:
    """A table, a line per finding. Pure."""
    if not findings:
        return []
    rows = [("STATE", "KIND", "WHAT", "PROBLEM")]
    for one in findings:
        state = "repaired" if one.repaired else "failed" if one.failed else "left"
        rows.append(
            (state, one.kind, one.name, f"{one.problem}; {one.failed}" if one.failed else one.problem)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
        for row in rows
    ]


def summary(findings: tuple[Finding, ...]) -> str:
    """One sentence. Pure."""
    repaired = sum(finding.repaired for finding in findings)
    left = len(findings) - repaired
    if not findings:
        return "clean: nothing is left on this host that nobody answers for"
    if not left:
        return f"clean: {repaired} repaired"
    advice = "" if repaired else "; remove them with: python -m runtime doctor --repair"
    return f"{left} left, {repaired} repaired{advice}"
