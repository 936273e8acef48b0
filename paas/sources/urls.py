"""Where a git repository elsewhere lies: https, http or ssh, and nothing that could run or read anything here.

In: a URL as people copy it from GitHub, GitLab, Gitea or Bitbucket.  Out: its parts, or SourceError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from paas.sources.errors import SourceError

SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^/].*|/.*)"
)
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
PATH = re.compile(r"[A-Za-z0-9_.~/@%+-]+")
FORMS = "https://HOST/OWNER/REPO.git or ssh://git@HOST/OWNER/REPO.git"
BRANCH = re.compile(r"[^\x00-\x20~^:?*\[\\\x7f]+")
LONGEST = 500


@dataclass(frozen=True)
class GitUrl:
    """`scheme` is https, http or ssh; `path` begins with a slash; `port` 0 is the scheme's own."""

    scheme: str
    host: str
    path: str
    port: int = 0
    user: str = ""

    @property
    def text(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        at = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{at}{host}{f':{self.port}' if self.port else ''}{self.path}"

    @property
    def origin(self) -> str:
        return self.text[: len(self.text) - len(self.path)]


def parse_git_url(text: str) -> GitUrl:
    """Read a URL. Raises SourceError; what it says never holds a password."""
    text = text.strip()
    if len(text) > LONGEST:
        raise _refused(f"it is longer than {LONGEST} characters")
    match = SCP.fullmatch(text) if "://" not in text else None
    if match is not None:
        path = match["path"]
        found = GitUrl(
            "ssh", match["host"], path if path[0] == "/" else f"/{path}", 0, match["user"] or "git"
        )
    else:
        found = _parsed(text)
    if not HOST.fullmatch(found.host):
        raise _refused("it has no host name that could be called")
    if not PATH.fullmatch(found.path) or ".." in found.path.split("/") or not found.path.strip("/"):
        raise _refused("its path is no path of a repository")
    return found


def _parsed(text: str) -> GitUrl:
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as error:
        raise _refused("it cannot be read") from error
    if parts.scheme not in {"https", "http", "ssh"}:
        raise _refused(f"{parts.scheme or 'a path'} is not how a source is fetched")
    if parts.query or parts.fragment:
        raise _refused("it has a ? or #: name a branch with --branch")
    if parts.password is not None or (parts.username and parts.scheme != "ssh"):
        raise _refused(
            "it holds a user or password: give a token with --token instead, which nobody sees again"
        )
    user = (parts.username or "git") if parts.scheme == "ssh" else ""
    if user and not USER.fullmatch(user):
        raise _refused("its user name is none")
    return GitUrl(parts.scheme, parts.hostname or "", parts.path, port, user)


def _refused(why: str) -> SourceError:
    return SourceError(
        f"The URL of the repository cannot be used: {why}. It looks like {FORMS}.", id="source_forbidden"
    )


def check_ref(text: str, what: str = "branch") -> str:
    """Return the name of a branch, tag or commit. Raises SourceError for what git would not take as one."""
    bad = (
        not BRANCH.fullmatch(text)
        or len(text.encode()) > 255
        or text.startswith(("-", "/", "."))
        or text.endswith(("/", ".", ".lock"))
        or ".." in text
        or "//" in text
        or "@{" in text
    )
    if bad:
        raise SourceError(f"{text[:80]!r} is no name of a {what}.", id="source_forbidden")
    return text
