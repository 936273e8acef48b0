"""Which app the git remotes name; which platform a URL names."""

from __future__ import annotations

import pytest

from paas.cli.credentials import normalize_url
from paas.cli.failures import Usage
from paas.cli.git import app_in

pytestmark = pytest.mark.unit

SHOP, STAGE = "http://localhost:5001/shop.git", "http://paas:token@localhost:5001/stage.git"
GITHUB = "https://github.com/someone/shop.git"


def test_the_remote_paas_wins() -> None:
    assert app_in({"origin": GITHUB, "staging": STAGE, "paas": SHOP}) == "shop"


def test_the_only_other_one_is_taken() -> None:
    assert app_in({"origin": GITHUB, "staging": STAGE}) == "stage"
    assert app_in({"origin": "git@github.com:someone/x.git", "a": SHOP, "b": SHOP}) == "shop"


def test_a_remote_can_be_chosen() -> None:
    assert app_in({"paas": SHOP, "staging": STAGE}, "staging") == "stage"


@pytest.mark.parametrize(
    ("remotes", "chosen"),
    [({}, None), ({"origin": GITHUB}, None), ({"a": SHOP, "b": STAGE}, None), ({"a": SHOP}, "b")],
)
def test_otherwise_it_must_be_said(remotes: dict[str, str], chosen: str | None) -> None:
    with pytest.raises(Usage, match="-a NAME"):
        app_in(remotes, chosen)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:5000", "http://localhost:5000"),
        ("https://Paas.Example.com/some/path/", "https://paas.example.com"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_a_platform_is_scheme_host_and_port(text: str, url: str) -> None:
    assert normalize_url(text) == url


@pytest.mark.parametrize("text", ["", "ftp://x", "http://", "http://x:port", "file:///etc/passwd"])
def test_other_urls_are_refused(text: str) -> None:
    with pytest.raises(Usage, match="URL of a platform"):
        normalize_url(text)
