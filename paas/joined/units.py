"""systemd units of a joined machine.

In: a membership.  Out: unit and settings files; services restarted when something about them changed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from paas.joined.membership import Membership, agent_environment, router_environment
from paas.supervisor.layout import SOURCE, Layout
from runtime.signing import write_private

UNITS = Path("/etc/systemd/system")
RUNNING = Path("/run/systemd/system")
AGENT = """\
[Unit]
Description=paas: container runtime of this host
After=network-online.target
Wants=network-online.target

[Service]
EnvironmentFile={settings}
ExecStart={root}/.venv/bin/python -m runtime agent
WorkingDirectory={root}
Restart=always
RestartSec=1
# Containers outlive the agent: systemd ends the agent alone, and leaves the control groups to it.
Delegate=yes
KillMode=process
TimeoutStopSec=30
OOMScoreAdjust=-500
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""
ROUTER = """\
[Unit]
Description=paas: steers HAProxy, which keeps serving without it
After=network-online.target
Wants=network-online.target

[Service]
EnvironmentFile={settings}
ExecStart={root}/.venv/bin/python -m paas.router
WorkingDirectory={root}
Restart=always
RestartSec=1
KillMode=process
TimeoutStopSec=15
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_SYS_RESOURCE
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
"""


def write(layout: Layout, membership: Membership, units: Path = UNITS) -> list[str]:
    """Write what is missing or different. Returns the units of which something changed."""
    wanted = {"paas-agent.service": (AGENT, agent_environment(layout, membership))}
    if membership.router:
        wanted["paas-router.service"] = (ROUTER, router_environment(layout, membership))
    return [name for name, parts in wanted.items() if _write(layout, units / name, *parts)]


def _write(layout: Layout, unit: Path, template: str, settings: dict[str, str]) -> bool:
    file = layout.home / f"{unit.stem}.env"
    lines = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "MALLOC_ARENA_MAX": "2"}
    text = "".join(f"{name}={value}\n" for name, value in {**lines, **settings}.items())
    wanted = {file: text, unit: template.format(settings=file, root=SOURCE)}
    changed = [path for path, content in wanted.items() if not path.exists() or path.read_text() != content]
    for path in changed:
        write_private(path, wanted[path])
    unit.chmod(0o644)
    return bool(changed)


def restart(changed: list[str]) -> None:
    """Have systemd run them as they are now. Containers go on meanwhile."""
    subprocess.run(("systemctl", "daemon-reload"), check=True)
    subprocess.run(("systemctl", "enable", "--quiet", *changed), check=True)
    subprocess.run(("systemctl", "restart", *changed), check=True)
