"""The git repository around the current folder, and the app that its remotes name.

In: `git remote -v`.  Out: an app's name; remotes added.
"""

from __future__ import annotations

import re
import subprocess
from urllib.parse import urlsplit

from paas.cli.failures import Failure, Usage

REMOTE = "paas"
APP_URL = re.compile(r"https?://(?:[^/@]*@)?[^/]+/(?P<app>[a-z][a-z0-9-]*)(?:\.git)?/?")


def _git(*arguments: str) -> str | None:
    """Return what git prints, or None when it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def inside_repository() -> bool:
    return _git("rev-parse", "--git-dir") is not None


def remotes() -> dict[str, str]:
    """Return the fetch URLs by remote."""
    found: dict[str, str] = {}
    for line in (_git("remote", "-v") or "").splitlines():
        name, _, rest = line.partition("\t")
        if rest.endswith("(fetch)"):
            found[name] = rest.removesuffix(" (fetch)")
    return found


def app_in(found: dict[str, str], remote: str | None = None) -> str:
    """Return the app that remotes name: the remote asked for, else `paas`, else the only one that looks like one.

    Raises Usage when there is none or more than one.
    """
    apps = {name: match["app"] for name, url in found.items() if (match := APP_URL.fullmatch(url))}
    if remote is not None:
        if remote not in apps:
            raise Usage(f"The git remote {remote} does not name an app. Say which app with -a NAME.")
        return apps[remote]
    if REMOTE in apps:
        return apps[REMOTE]
    if len(set(apps.values())) == 1:
        return next(iter(apps.values()))
    if apps:
        raise Usage(
            f"Several git remotes name apps ({', '.join(sorted(apps))}). Say which with -a NAME or -r REMOTE."
        )
    raise Usage(
        "Which app? Say it with -a NAME or PAAS_APP, or run this in a git repository with a `paas` remote."
    )


def set_remote(name: str, url: str) -> None:
    """Point a remote at an app, adding it if it is not there."""
    verb = "set-url" if name in remotes() else "add"
    if _git("remote", verb, name, url) is None:
        raise Failure(f"git could not set the remote {name} to {url}.")


def use_helper(url: str, api_url: str) -> None:
    """Let git ask `paas` for credentials of this host and port.

    ~/.netrc knows hosts only; with several platforms on one machine it holds the token of just one of them.
    """
    parts = urlsplit(url)
    _git(
        "config",
        f"credential.{parts.scheme}://{parts.netloc}.helper",
        f"!paas git:credentials --url {api_url}",
    )
