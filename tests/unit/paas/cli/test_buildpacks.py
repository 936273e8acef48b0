"""The buildpacks commands: what they ask and what they print."""

from __future__ import annotations

import pytest

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit

PATH = "/apps/shop/buildpack-installations"
MINE = "https://git.example.com/mine.git"


def rows(*names: str) -> list[dict[str, object]]:
    urls = [name if "://" in name else f"urn:buildpack:{name}" for name in names]
    return [
        {"buildpack": {"name": name, "url": url}, "ordinal": ordinal}
        for ordinal, (name, url) in enumerate(zip(names, urls, strict=True))
    ]


@pytest.fixture(autouse=True)
def shop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_APP", "shop")
    platform.answer("GET", PATH, rows("heroku/python", MINE))
    platform.answer("PUT", PATH, rows("heroku/python"))


def test_showing(platform: Platform, paas: Paas) -> None:
    done = paas("buildpacks")
    assert done.code == 0 and done.out.splitlines()[1:] == ["1  heroku/python", f"2  {MINE}"]
    platform.answer("GET", PATH, [])
    assert "detected" in paas("buildpacks").err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("buildpacks:add", "./x"), ["heroku/python", MINE, "./x"]),
        (("buildpacks:add", "./x", "--index", "1"), ["./x", "heroku/python", MINE]),
        (("buildpacks:set", "./x"), ["./x", MINE]),
        (("buildpacks:set", "./x", "-i", "2"), ["heroku/python", "./x"]),
        (("buildpacks:remove", MINE), ["heroku/python"]),
        (("buildpacks:remove", "--index", "1"), [MINE]),
        (("buildpacks:clear",), []),
    ],
)
def test_changing(platform: Platform, paas: Paas, words: tuple[str, ...], wanted: list[str]) -> None:
    assert paas(*words).code == 0
    assert platform.asked[-1].method == "PUT"
    assert platform.asked[-1].body == {"updates": [{"buildpack": name} for name in wanted]}


@pytest.mark.parametrize("words", [(), ("./none",), ("--index", "3"), (MINE, "--index", "1")])
def test_removing_what_is_not_there(platform: Platform, paas: Paas, words: tuple[str, ...]) -> None:
    assert paas("buildpacks:remove", *words).code == 2
    assert all(one.method == "GET" for one in platform.asked)
