"""The runtime commands: what they ask and what they print."""

from __future__ import annotations

import pytest

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit

PATH = "/apps/shop/runtime"
OFFERED = {"runtimes": ["crun", "runsc"], "seccomp": [], "problems": ["The runtime kata has no /dev/kvm."]}
CHOSEN = {"runtime": "runsc", "seccomp": "", "readonly": True, "offered": OFFERED}


@pytest.fixture(autouse=True)
def shop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_APP", "shop")
    platform.answer("GET", "/apps/shop/releases", [{"version": 7}])


def test_showing(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", PATH, CHOSEN)
    done = paas("runtime")
    assert [line.split(": ", 1)[1].strip() for line in done.out.splitlines()] == [
        "runsc",
        "the platform's profile",
        "on",
        "crun, runsc",
        "none",
    ]
    assert "no /dev/kvm" in done.err


def test_setting_and_unsetting(platform: Platform, paas: Paas) -> None:
    platform.answer("PATCH", PATH, CHOSEN)
    assert paas("runtime:set", "runtime=runsc", "readonly=on").out == "Set runtime, readonly of shop, v7.\n"
    assert platform.asked[0].body == {"runtime": "runsc", "readonly": True}
    assert paas("runtime:unset", "runtime").out == "Unset runtime of shop, v7.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runtime:set",), "Say what to set"),
        (("runtime:set", "runsc"), "'runsc' is not one of runtime, seccomp, readonly"),
        (("runtime:set", "runtime="), "paas runtime:unset runtime"),
        (("runtime:set", "readonly=perhaps"), "readonly is on or off, not 'perhaps'"),
        (("runtime:unset", "other"), "'other' is not one of"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(
    platform: Platform, paas: Paas, words: tuple[str, ...], said: str
) -> None:
    done = paas(*words)
    assert done.code != 0
    assert said in done.err
    assert platform.asked == []
