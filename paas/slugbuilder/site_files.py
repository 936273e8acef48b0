"""The files in which people write down how a static site is served.

In: `_redirects` and `_headers` (as at Netlify and Cloudflare Pages), `static.json` (as with Heroku's static buildpack).
Out: `Rules`, the root and whether unknown paths answer with index.html; a BuildError names the line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BuildError
from .site_rules import HeaderRule, Redirect, Rules

STATUSES = frozenset({200, 301, 302, 303, 307, 308, 404})
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OWN = frozenset(
    {"content-length", "content-encoding", "transfer-encoding", "connection", "etag", "content-range"}
)


@dataclass(frozen=True)
class Declared:
    """What static.json says besides rules; '' and False where it says nothing."""

    rules: Rules = field(default_factory=Rules)
    root: str = ""
    spa: bool = False
    warnings: tuple[str, ...] = ()


def invalid(file: str, what: str, line: int = 0) -> BuildError:
    where = f"{file} line {line}" if line else file
    return BuildError("staticfile_invalid", f"{where}: {what}.", hint="Correct it, commit and push again.")


def read_text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig", "replace")


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, with their numbers; comments are whole lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.rstrip()


def parse_redirects(text: str) -> tuple[tuple[Redirect, ...], tuple[str, ...]]:
    """`/from /to 301!` per line. Conditions on country, language, role and query are told, and the line left out."""
    redirects: list[Redirect] = []
    warnings: list[str] = []
    for number, line in numbered(text):
        words = line.split(" #")[0].split()
        status = next((word for word in words[2:] if re.fullmatch(r"\d{3}!?", word)), "")
        if len(words) < 2 or not words[0].startswith("/"):
            raise invalid("_redirects", f"{line[:80]!r} is no `/from /to`", number)
        conditional = any("=" in word for word in words[2:]) or ("=" in words[1] and words[1][0] not in "/h")
        if conditional or (status.startswith("200") and "://" in words[1]):
            warnings.append(
                f"_redirects line {number} has no effect: conditions and proxies are not supported."
            )
            continue
        redirects.append(
            checked(Redirect(words[0], words[1], int(status[:3] or 301), status.endswith("!")), number)
        )
    return tuple(redirects), tuple(warnings)


def checked(redirect: Redirect, line: int, file: str = "_redirects") -> Redirect:
    if redirect.status not in STATUSES:
        raise invalid(file, f"{redirect.status} is no status of a redirect", line)
    if not redirect.target.startswith(("/", "http://", "https://")) or any(
        ord(c) < 32 for c in redirect.target
    ):
        raise invalid(file, f"{redirect.target[:80]!r} is neither a path nor an address", line)
    return redirect


def parse_headers(text: str) -> tuple[HeaderRule, ...]:
    """A path at the start of a line, `Name: value` indented below it."""
    rules: list[HeaderRule] = []
    source = ""
    for number, line in numbered(text):
        if not line[0].isspace():
            source = line.strip()
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not source or not colon:
            raise invalid("_headers", f"{line.strip()[:80]!r} is no `Name: value` below a path", number)
        rules.append(header(source, name, value, "_headers", number))
    return tuple(rules)


def header(source: str, name: str, value: str, file: str, line: int = 0) -> HeaderRule:
    if not NAME.fullmatch(name) or name.lower() in OWN or any(ord(c) < 32 or ord(c) > 255 for c in value):
        raise invalid(file, f"the header {name[:40]!r} cannot be set", line)
    return HeaderRule(source, name, value)


def parse_static_json(text: str) -> Declared:
    """Keys that are not known, or cannot be had, are told."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise invalid("static.json", error.msg, error.lineno) from error
    if not isinstance(document, dict):
        raise invalid("static.json", "it must hold an object")
    redirects = [from_json(source, value) for source, value in section(document, "redirects").items()]
    routes = section(document, "routes")
    spa = any(source in ("/**", "/*") and target == "index.html" for source, target in routes.items())
    redirects += [
        Redirect(source.replace("**", "*"), f"/{target}", 200)
        for source, target in routes.items()
        if target != "index.html"
    ]
    known = {"root", "clean_urls", "error_page", "routes", "redirects", "headers", "https_only"}
    warnings = tuple(f"static.json: {key!r} has no effect here." for key in document if key not in known)
    rules = Rules(
        tuple(redirects),
        tuple(json_headers(document)),
        document.get("clean_urls") is True,
        str(document.get("error_page", "404.html")),
    )
    return Declared(rules, str(document.get("root", "")).strip("/"), spa, warnings)


def section(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise invalid("static.json", f"`{key}` must be an object")
    return value


def from_json(source: str, value: Any) -> Redirect:
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        raise invalid("static.json", f"the redirect of {source!r} needs a `url`")
    return checked(
        Redirect(source, value["url"], int(value.get("status", 301)), force=True), 0, "static.json"
    )


def json_headers(document: dict[str, Any]) -> Iterator[HeaderRule]:
    for source, values in section(document, "headers").items():
        if not isinstance(values, dict):
            raise invalid("static.json", f"the headers of {source!r} must be an object")
        for name, value in values.items():
            yield header(source.replace("**", "*"), name, str(value), "static.json")


def read_rules_of(root: Path, app: Path, declared: Declared) -> tuple[Rules, tuple[str, ...]]:
    """Join what all files say; `_redirects` and `_headers` lie in the root of the site, or of the app."""
    redirects, headers, warnings = declared.rules.redirects, declared.rules.headers, declared.warnings
    for place in dict.fromkeys((app, root)):
        if (place / "_redirects").is_file():
            more, told = parse_redirects(read_text(place / "_redirects"))
            redirects, warnings = (*redirects, *more), (*warnings, *told)
        if (place / "_headers").is_file():
            headers = (*headers, *parse_headers(read_text(place / "_headers")))
    rules = Rules(redirects, headers, declared.rules.clean_urls, declared.rules.error_page)
    return rules, warnings
