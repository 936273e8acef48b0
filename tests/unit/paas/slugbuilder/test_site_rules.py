"""Redirects and headers of static sites: how they are written, where they lead."""

import pytest

from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.site_files import parse_headers, parse_redirects, parse_static_json
from paas.slugbuilder.site_rules import HeaderRule, Redirect, Rules, read_rules, write_rules

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("line", "path", "leads"),
    [
        ("/old /new", "/old", (301, "/new")),
        ("/old /new", "/older", None),
        ("/a.b /new 302", "/axb", None),
        ("/news/* /blog/:splat 302", "/news/a/b", (302, "/blog/a/b")),
        ("/news/* /blog/:splat 302", "/news", (302, "/blog/")),
        ("/news/* /blog 302", "/newspaper", None),
        ("/p/:year/:id /x?y=:year&i=:id 308", "/p/2024/7", (308, "/x?y=2024&i=7")),
        ("/p/:id /x", "/p/a/b", None),
        ("/* /index.html 200", "/any/where", (200, "/index.html")),
        ("/out https://other.test/:x 301 # why", "/out", (301, "https://other.test/:x")),
    ],
)
def test_where_a_rule_leads(line, path, leads):
    redirects, warnings = parse_redirects(line)
    assert warnings == ()
    assert Rules(redirects).redirect(path, there=False) == leads


def test_a_file_comes_before_a_rule_unless_it_is_forced():
    rules = Rules((Redirect("/a", "/b"), Redirect("/a", "/c", 302, force=True)))
    assert rules.redirect("/a", there=True) == (302, "/c")
    assert rules.redirect("/a", there=False) == (301, "/b")


@pytest.mark.parametrize(
    "line", ["/a /b 302 Country=de", "/a id=:id /b", "/api/* https://api.test/:splat 200"]
)
def test_what_cannot_be_had_is_told(line):
    assert parse_redirects(f"\n{line}\n") == (
        (),
        ("_redirects line 2 has no effect: conditions and proxies are not supported.",),
    )


@pytest.mark.parametrize("line", ["/only", "a /b", "/a /b 500", "/a b"])
def test_a_redirect_that_is_none_is_pinned(line):
    with pytest.raises(BuildError, match="_redirects line 3"):
        parse_redirects(f"# first\n/x /y\n{line}\n")


def test_headers_of_all_rules_that_fit_and_of_one_name_the_last():
    rules = Rules(headers=parse_headers("/*\n  X-A: 1\n  X-B: 1\n\n/blog/*\n  x-a: 2\n"))
    assert rules.headers_for("/blog/x") == (("x-a", "2"), ("X-B", "1"))
    assert rules.headers_for("/") == (("X-A", "1"), ("X-B", "1"))


@pytest.mark.parametrize("text", ["  X-A: 1", "/*\n  X-A", "/*\n  Content-Length: 5", "/*\n  X A: 1"])
def test_a_header_that_cannot_be_set(text):
    with pytest.raises(BuildError, match="_headers line"):
        parse_headers(text)


def test_static_json():
    declared = parse_static_json(
        '{"root": "dist/", "clean_urls": true, "routes": {"/**": "index.html", "/docs/**": "docs.html"},'
        ' "redirects": {"/a": {"url": "/b"}}, "headers": {"/**": {"X-A": "1"}}, "proxies": {}}'
    )
    assert (declared.root, declared.spa, declared.rules.clean_urls) == ("dist", True, True)
    assert declared.rules.redirects == (
        Redirect("/a", "/b", 301, True),
        Redirect("/docs/*", "/docs.html", 200),
    )
    assert declared.rules.headers == (HeaderRule("/*", "X-A", "1"),)
    assert declared.warnings == ("static.json: 'proxies' has no effect here.",)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"routes": []}', '{"redirects": {"/a": "/b"}}', '{"headers": {"/": 1}}']
)
def test_static_json_that_cannot_be_used(text):
    with pytest.raises(BuildError) as caught:
        parse_static_json(text)
    assert caught.value.id == "staticfile_invalid"


def test_rules_come_back_from_their_file(tmp_path):
    rules = Rules((Redirect("/a", "/b", 302, True),), (HeaderRule("/*", "X-A", "é"),), True, "lost.html")
    write_rules(tmp_path / "rules.json", rules)
    assert read_rules(tmp_path / "rules.json") == rules
    assert read_rules(tmp_path / "none.json") == Rules()
