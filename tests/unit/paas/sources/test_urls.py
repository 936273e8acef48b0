"""URLs of repositories: what is taken, and that nothing runs or reads anything here."""

from __future__ import annotations

import pytest

from paas.sources.errors import SourceError
from paas.sources.http import check_url, shown
from paas.sources.urls import check_ref, parse_git_url

pytestmark = pytest.mark.unit

GOOD = {
    "https://github.com/acme/shop.git": "https://github.com/acme/shop.git",
    "http://git.local:8080/a/b": "http://git.local:8080/a/b",
    "git@github.com:acme/shop.git": "ssh://git@github.com/acme/shop.git",
    "ssh://git@git.local:2222/acme/shop.git": "ssh://git@git.local:2222/acme/shop.git",
    "https://[2606:4700::1]/a/b.git": "https://[2606:4700::1]/a/b.git",
}
BAD = (
    "file:///etc/passwd",
    "/srv/git/shop.git",
    "ext::sh -c touch% /tmp/x",
    "git://github.com/acme/shop.git",
    "ftp://host/x.git",
    "https://user:secret@host/x.git",
    "https://token@host/x.git",
    "https://host/x.git?a=b",
    "https://host/",
    "https://host/../x.git",
    "ssh://-oProxyCommand=x@host/x.git",
    "ssh://git@-oProxyCommand=x/x.git",
    "-oProxyCommand=x:y",
    "ssh://git@host/x'; touch /tmp/x'",
    "https://host:99999/x.git",
    "",
)


@pytest.mark.parametrize("text", GOOD)
def test_taken(text: str) -> None:
    assert parse_git_url(text).text == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    with pytest.raises(SourceError, match="cannot be used") as raised:
        parse_git_url(text)
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    "name", ["-x", "a b", "a..b", "/a", "a/", "a.lock", "a~1", "a^", "a:b", "a?", "a@{1}", "", "a" * 256]
)
def test_no_branch(name: str) -> None:
    with pytest.raises(SourceError, match="is no name of a branch"):
        check_ref(name)


def test_branches() -> None:
    for name in ("main", "feature/x-1", "v1.2", "wünsche"):
        assert check_ref(name) == name


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x/", "https://a:b@host/x", "https:///x", "https://h/a b"]
)
def test_urls_of_archives_that_are_never_fetched(url: str) -> None:
    with pytest.raises(SourceError) as raised:
        check_url(url)
    assert raised.value.id == "source_forbidden"


def test_the_secret_of_a_signed_url_is_not_shown() -> None:
    assert shown("https://host/a.tgz?X-Signature=abc#frag") == "https://host/a.tgz"
