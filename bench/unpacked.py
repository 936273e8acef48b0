"""Programs of Debian packages that are compared with and not installed.

In: names of packages, a folder.  Out: their files below it, and the environment in which they run.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class NotToBeHad(Exception):
    """A package that the mirror does not give."""


def unpack(folder: Path, *packages: str) -> Path:
    """Download the packages and unpack them; returns the root that now holds their files."""
    debs, root = folder / "debs", folder / "root"
    debs.mkdir(parents=True)
    fetched = subprocess.run(
        ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages],
        cwd=debs,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode != 0:
        raise NotToBeHad(f"its packages cannot be had: {' '.join(fetched.stderr.split())[-200:]}")
    for deb in debs.iterdir():
        subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
    shutil.rmtree(debs)
    return root


def choose_nft(root: Path) -> None:
    """Make the iptables of an unpacked package nftables', which it leaves to update-alternatives."""
    for name in ("iptables", "ip6tables"):
        link = root / "usr" / "sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("xtables-nft-multi")


def environment(root: Path, home: Path) -> dict[str, str]:
    """Their programs and libraries first, then the machine's."""
    folders = (f"{root}/usr/sbin", f"{root}/usr/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    libraries = (f"{root}/usr/lib/x86_64-linux-gnu", f"{root}/lib/x86_64-linux-gnu")
    return {
        "PATH": ":".join(folders),
        "LD_LIBRARY_PATH": ":".join(libraries),
        "XTABLES_LIBDIR": f"{root}/usr/lib/x86_64-linux-gnu/xtables",
        "HOME": str(home),
    }
