"""The kernel commands: what they ask and what they print."""

from __future__ import annotations

import pytest

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit

KERNEL = "/apps/shop/kernel"
SET = {"sysctls": {"net.core.somaxconn": "4096"}, "ulimits": {"nofile": "1024:65536"}}


@pytest.fixture(autouse=True)
def shop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_APP", "shop")
    platform.answer("GET", "/apps/shop/releases", [{"version": 7}])


def test_showing(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", KERNEL, SET)
    assert paas("kernel").out == "net.core.somaxconn: 4096\nnofile:             1024:65536\n"
    platform.answer("GET", KERNEL, {"sysctls": {}, "ulimits": {}})
    done = paas("kernel")
    assert (done.code, done.out) == (0, "")
    assert "paas kernel:set net.core.somaxconn=4096" in done.err


def test_names_with_dots_are_sysctls(platform: Platform, paas: Paas) -> None:
    platform.answer("PATCH", KERNEL, SET)
    done = paas("kernel:set", "net.core.somaxconn=4096", "nofile=1024:65536", "kernel.sem = 1 2 3 4")
    assert (done.code, done.out) == (0, "Set net.core.somaxconn, nofile, kernel.sem of shop, v7.\n")
    assert platform.asked[0].body == {
        "sysctls": {"net.core.somaxconn": "4096", "kernel.sem": "1 2 3 4"},
        "ulimits": {"nofile": "1024:65536"},
    }


def test_unsetting(platform: Platform, paas: Paas) -> None:
    platform.answer("PATCH", KERNEL, {"sysctls": {}, "ulimits": {}})
    done = paas("kernel", "unset", "net.core.somaxconn", "nofile")
    assert (done.code, done.out) == (0, "Unset net.core.somaxconn, nofile of shop, v7.\n")
    assert platform.asked[0].body == {"sysctls": {"net.core.somaxconn": None}, "ulimits": {"nofile": None}}


@pytest.mark.parametrize("words", [(), ("net.core.somaxconn",), ("=1",)])
def test_what_makes_no_sense(platform: Platform, paas: Paas, words: tuple[str, ...]) -> None:
    assert paas("kernel:set", *words).code == 2
    assert platform.asked == []


def test_a_refusal_is_the_platforms_own_words(platform: Platform, paas: Paas) -> None:
    problem = {"id": "invalid_params", "message": "The sysctl 'vm.swappiness' cannot be set for a container."}
    platform.answer("PATCH", KERNEL, problem, status=422)
    done = paas("kernel:set", "vm.swappiness=1")
    assert done.code == 1
    assert problem["message"] in done.err
