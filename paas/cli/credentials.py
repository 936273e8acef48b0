"""Which platform, and the token for it.

In: options, PAAS_URL and PAAS_TOKEN, ~/.config/paas/config.json.  Out: a URL and a token; entries in ~/.netrc for git.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from paas.cli import netrc
from paas.cli.failures import Usage
from paas.cli.private_files import write_private

DEFAULT_URL = "http://localhost:5000"


@dataclass(frozen=True)
class Store:
    """What the configuration file holds: the platform of the last login, and a token per platform."""

    url: str = ""
    tokens: dict[str, str] = field(default_factory=dict)


def store_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "paas" / "config.json"


def netrc_path() -> Path:
    return Path(os.environ.get("NETRC") or Path.home() / ".netrc")


def read_store() -> Store:
    """Return the stored logins. Raises Usage when somebody has broken the file."""
    path = store_path()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Store(str(values["url"]), {str(url): str(token) for url, token in values["tokens"].items()})
    except FileNotFoundError:
        return Store()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Usage(f"{path} cannot be read. Delete it and run `paas login` again.") from error


def write_store(store: Store) -> None:
    write_private(store_path(), json.dumps({"url": store.url, "tokens": store.tokens}, indent=2) + "\n")


def normalize_url(url: str) -> str:
    """Return scheme, host and port of a URL. Raises Usage for something else."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Usage(f"{url!r} is not the URL of a platform. It looks like http://localhost:5000.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def platform_url(option: str | None) -> str:
    """Return the platform that a command is for: the option, PAAS_URL, the last login, this machine."""
    return normalize_url(option or os.environ.get("PAAS_URL") or read_store().url or DEFAULT_URL)


def token_for(url: str) -> str | None:
    """Return PAAS_TOKEN, or the token of the login at this URL. A token never goes to another platform."""
    return os.environ.get("PAAS_TOKEN") or read_store().tokens.get(url)


def remember(url: str, token: str) -> None:
    """Keep a login and make its platform the default one."""
    write_store(Store(url, {**read_store().tokens, url: token}))


def forget(url: str) -> None:
    store = read_store()
    left = {one: token for one, token in store.tokens.items() if one != url}
    write_store(Store(store.url if store.url != url else next(iter(left), ""), left))


def remember_for_git(git_url: str, token: str) -> None:
    """Let git log in to the host of `git_url`."""
    path = netrc_path()
    write_private(path, netrc.with_machine(_read(path), _host(git_url), "paas", token))


def forget_for_git(git_url: str, token: str) -> None:
    """Remove the entry, unless it is somebody else's."""
    path = netrc_path()
    text = _read(path)
    if netrc.password_of(text, _host(git_url)) == token:
        write_private(path, netrc.without_machine(text, _host(git_url)))


def _host(url: str) -> str:
    return urlsplit(url).hostname or "localhost"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{path} cannot be read ({error}). Mend it, then run this again.") from error
