"""What a static server answers.

In: a request's method, target and headers, and a folder.  Out: a status, headers and which bytes of which file.
HTTP semantics are those of RFC 9110. Only `find` looks at the disk.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from .media_types import COMPRESSIBLE, content_type, media_type

HIDDEN = frozenset({"Procfile", "Staticfile"})
GZIP_LIMITS = (1024, 4 * 1024**2)
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str = "HTTP/1.1"


@dataclass(frozen=True)
class Served:
    """A file on disk. `tag` is a hash of its content: modification times of a slug's files say nothing."""

    path: Path
    size: int
    mtime: int
    tag: str = ""


@dataclass(frozen=True)
class Reply:
    """`body` or, when `file` is set, `length` bytes of it from `start`; `gzip` asks for the compressed whole."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    file: Served | None = None
    start: int = 0
    length: int = 0
    gzip: bool = False


def parse_request(head: bytes) -> Request | None:
    """Parse a request head (without its blank line). None for what is not HTTP/1."""
    lines = head.decode("latin-1").split("\r\n")
    first = lines[0].split(" ")
    if len(first) != 3 or first[2] not in ("HTTP/1.0", "HTTP/1.1"):
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            return None
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return Request(first[0], first[1], headers, first[2])


def local_path(target: str) -> str | None:
    """Decode a request target into a clean relative path; None when it is hidden, hostile or no path."""
    raw = unquote_to_bytes(target.partition("?")[0].partition("#")[0])
    if not raw.startswith(b"/") or b"\0" in raw:
        return None
    text = os.fsdecode(raw)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if any(part.startswith(".") and part != ".well-known" for part in parts):
        return None
    if len(parts) == 1 and parts[0] in HIDDEN:
        return None
    return "/".join(parts) + ("/" if text.endswith("/") and parts else "")


def find(root: Path, path: str) -> Served | str | None:
    """Return the file for a clean path, the path to redirect to (a folder without its slash), or None."""
    try:
        place = root / path
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            if path and not path.endswith("/"):
                return f"/{path}/"
            place = place / "index.html"
            status = place.stat()
        elif path.endswith("/"):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Served(place, status.st_size, int(status.st_mtime))
    except (OSError, ValueError):
        return None


def packed(request: Request, file: Served) -> tuple[str, Path] | None:
    """Return (encoding, file) of what the build has compressed beside a file, when the client takes it."""
    if "range" in request.headers:
        return None
    accepted = request.headers.get("accept-encoding", "")
    for encoding, suffix in (("br", ".br"), ("gzip", ".gz")):
        path = file.path.with_name(file.path.name + suffix)
        if accepts(accepted, encoding) and path.is_file():
            return encoding, path
    return None


def reply_to_file(
    request: Request, file: Served, *, status: int = 200, instead: Served | None = None, encoding: str = ""
) -> Reply:
    """Answer GET or HEAD with a file: 304, 206, 416 or the whole. `instead` is the same file, encoded."""
    compressible = (
        media_type(file.path.name) in COMPRESSIBLE and GZIP_LIMITS[0] <= file.size <= GZIP_LIMITS[1]
    )
    gzip = (
        compressible
        and accepts_gzip(request.headers.get("accept-encoding", ""))
        and "range" not in request.headers
    )
    headers = [
        ("Content-Type", content_type(file.path.name)),
        ("Cache-Control", "max-age=0, must-revalidate"),
    ]
    headers += [
        ("ETag", f'W/"{file.tag}"' if gzip else f'"{file.tag}"'),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if file.mtime > 1:
        headers.append(("Last-Modified", formatdate(file.mtime, usegmt=True)))
    if compressible:
        headers.append(("Vary", "Accept-Encoding"))
    if status == 200 and not_modified(request.headers, file):
        return Reply(304, tuple(headers))
    if instead is not None:
        headers = [one for one in headers if one[0] not in ("ETag", "Vary")]
        headers += [("ETag", f'W/"{file.tag}"'), ("Vary", "Accept-Encoding"), ("Content-Encoding", encoding)]
        return Reply(status, tuple(headers), file=instead, length=instead.size)
    if gzip:
        return Reply(status, (*headers, ("Content-Encoding", "gzip")), file=file, length=file.size, gzip=True)
    headers.append(("Accept-Ranges", "bytes"))
    wanted = requested_range(request.headers, file) if status == 200 and request.method == "GET" else None
    if wanted is None:
        return Reply(status, tuple(headers), file=file, length=file.size)
    start, length = wanted
    if length <= 0:
        return Reply(416, (("Content-Range", f"bytes */{file.size}"),))
    headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{file.size}"))
    return Reply(206, tuple(headers), file=file, start=start, length=length)


def not_modified(headers: Mapping[str, str], file: Served) -> bool:
    """If-None-Match decides; If-Modified-Since only without it and only when the time means something."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or file.tag in re.findall(r'"([^"]*)"', tags)
    since = headers.get("if-modified-since")
    if since is None or file.mtime <= 1:
        return False
    try:
        return parsedate_to_datetime(since).timestamp() >= file.mtime
    except (ValueError, TypeError):
        return False


def requested_range(headers: Mapping[str, str], file: Served) -> tuple[int, int] | None:
    """(start, length) of a single byte range; length 0 when it cannot be satisfied; None to send the whole."""
    match = RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    condition = headers.get("if-range")
    if condition is not None and condition.strip() != f'"{file.tag}"':
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), file.size)
        return file.size - length, length
    end = min(int(last), file.size - 1) if last else file.size - 1
    if last and int(last) < int(first):
        return None
    return int(first), max(0, end - int(first) + 1)


def accepts_gzip(header: str) -> bool:
    return accepts(header, "gzip")


def accepts(header: str, encoding: str) -> bool:
    for item in header.split(","):
        name, _, parameters = item.partition(";")
        if name.strip().lower() in (encoding, "*"):
            return re.search(r"q\s*=\s*0(\.0*)?\s*$", parameters) is None
    return False


def redirect(location: str, target: str) -> Reply:
    """Redirect to a folder's own address, keeping the query; one leading slash only, so never to another host."""
    query = target.partition("?")[2]
    address = "/" + quote(os.fsencode(location.strip("/"))) + "/" + (f"?{query}" if query else "")
    return Reply(301, (("Location", address),))


def rewritten(status: int, target: str, asked: str) -> Reply:
    """Redirect by a rule; the query stays unless the rule has one. A path keeps to this host."""
    query = asked.partition("?")[2]
    kept = f"?{query}" if query and "?" not in target else ""
    address = target if "://" in target else "/" + target.lstrip("/")
    return Reply(status, (("Location", quote(address, safe="/:?=&#%+~@!$,;()*'[]") + kept),))


def plain(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    return Reply(
        status, (("Content-Type", "text/plain; charset=utf-8"), *headers), body=text.encode() + b"\n"
    )
