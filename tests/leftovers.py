"""What platforms leave on a machine: processes, mounts, namespaces, cgroups, interfaces, firewall tables.

In: the machine.  Out: one line per thing, so that two lists can be compared. As a program it prints the list.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

PROGRAMS = re.compile(
    r"\b(gunicorn|celery|redis-server|haproxy|conmon|crun|paas\.(supervisor|router)|runtime agent)\b"
)


def found() -> set[str]:
    """Return everything there is at this moment."""
    return {*processes(), *mounts(), *namespaces(), *cgroups(), *interfaces(), *tables(), *claims()}


def processes() -> set[str]:
    """Processes of the kinds that a platform starts, without zombies (nobody can remove those but their parent)."""
    lines = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            environ = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if PROGRAMS.search(command) and state not in "ZX":
            lines.add(f"process {folder.name} of {_platform(environ)}: {command[:160]}")
    return lines


def _platform(environ: list[bytes]) -> str:
    """Return the data folder of the platform that started a process."""
    mark = b"SUPERVISED_BY="
    return next((one.removeprefix(mark).decode() for one in environ if one.startswith(mark)), "nobody")


def mounts() -> set[str]:
    """Mount points, without the folder that the first `ip netns add` of a machine makes one."""
    places = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {f"mount {place}" for place in places - {"/run/netns"}}


def namespaces() -> set[str]:
    folder = Path("/run/netns")
    return {f"network namespace {entry.name}" for entry in folder.iterdir()} if folder.is_dir() else set()


def cgroups() -> set[str]:
    """Control groups with `paas` in their path, in every hierarchy."""
    return {f"cgroup {path}" for path in Path("/sys/fs/cgroup").rglob("*paas*") if path.is_dir()}


def interfaces() -> set[str]:
    links = json.loads(_output("ip", "-json", "-details", "link", "show") or "[]")
    kinds = {link["ifname"]: link.get("linkinfo", {}).get("info_kind") for link in links}
    return {
        f"interface {name}"
        for name, kind in kinds.items()
        if kind in {"veth", "bridge", "vxlan", "wireguard"}
    }


def tables() -> set[str]:
    return {f"firewall {line}" for line in _output("nft", "list", "tables").splitlines() if " paas" in line}


def claims() -> set[str]:
    folder = Path("/run/paas-subnets")
    return (
        {f"subnet {entry.name} of {entry.readlink()}" for entry in folder.iterdir()}
        if folder.is_dir()
        else set()
    )


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    print("\n".join(sorted(found())))
