"""Redirects, rewrites and headers of a static site, as its server follows them.

In: a request's path.  Out: where it leads, and which headers its answer gets.
Standard library only: this file is copied into the slug of a static site.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

PLACEHOLDER = re.compile(r":([A-Za-z]\w*)|\*")


@dataclass(frozen=True)
class Redirect:
    """`source` may hold `:name` and end with `*`; `target` uses them (`:splat` for the star). 200 is a rewrite."""

    source: str
    target: str
    status: int = 301
    force: bool = False


@dataclass(frozen=True)
class HeaderRule:
    source: str
    name: str
    value: str


@dataclass(frozen=True)
class Rules:
    """`clean_urls`: /page answers with page.html. `error_page`: the body of what is not found."""

    redirects: tuple[Redirect, ...] = ()
    headers: tuple[HeaderRule, ...] = ()
    clean_urls: bool = False
    error_page: str = "404.html"
    hidden: tuple[str, ...] = field(default=("_redirects", "_headers", "static.json"))

    def redirect(self, path: str, *, there: bool) -> tuple[int, str] | None:
        """Return (status, target) of the first rule that fits; where a file is only one that is forced."""
        for rule in self.redirects:
            if rule.force or not there:
                target = led_to(rule, path)
                if target is not None:
                    return rule.status, target
        return None

    def headers_for(self, path: str) -> tuple[tuple[str, str], ...]:
        """Return the headers of all rules that fit; of one name the last."""
        found = {
            rule.name.lower(): (rule.name, rule.value)
            for rule in self.headers
            if pattern(rule.source).fullmatch(path)
        }
        return tuple(found.values())


def pattern(source: str) -> re.Pattern[str]:
    """`/a/:id/*` as a regex with named groups."""
    regex, position = "", 0
    for match in PLACEHOLDER.finditer(source):
        regex += re.escape(source[position : match.start()])
        regex += f"(?P<{match[1]}>[^/]+)" if match[1] else ("(?P<splat>.*)" if "splat" not in regex else ".*")
        position = match.end()
    regex += re.escape(source[position:])
    # `/blog/*` holds for `/blog`, too
    return re.compile(re.sub(r"/\(\?P<splat>\.\*\)$", r"(?:/(?P<splat>.*))?", regex))


def led_to(rule: Redirect, path: str) -> str | None:
    found = pattern(rule.source).fullmatch(path)
    if found is None:
        return None
    values = found.groupdict()
    return re.sub(r":([A-Za-z]\w*)", lambda mark: values.get(mark[1], mark[0]) or "", rule.target)


def write_rules(file: Path, rules: Rules) -> None:
    file.write_text(json.dumps(asdict(rules), indent=1) + "\n", encoding="utf-8")


def read_rules(file: Path) -> Rules:
    """Read what `write_rules` wrote; no file, no rules."""
    if not file.is_file():
        return Rules()
    document = json.loads(file.read_text(encoding="utf-8"))
    return Rules(
        tuple(Redirect(**one) for one in document["redirects"]),
        tuple(HeaderRule(**one) for one in document["headers"]),
        document["clean_urls"],
        document["error_page"],
        tuple(document["hidden"]),
    )
