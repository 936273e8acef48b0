"""Kernel parameters in the settings of an app."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from paas.controller.models import App
from paas.controller.selectors.kernel import KernelParameters, kernel_parameters
from paas.controller.selectors.releases import newest_release
from tests.integration.dashboard.conftest import HTMX

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SHOP = "/dashboard/apps/shop"


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


def test_setting_one_of_each_kind(client: Client, shop: App) -> None:
    assert "None: every process has the defaults of its host" in text(client.get(f"{SHOP}/settings"))
    answer = client.post(f"{SHOP}/kernel", {"name": " net.core.somaxconn ", "value": "4096"}, headers=HTMX)
    assert "net.core.somaxconn=4096" in text(answer)
    assert "connections that may wait for accept()" in text(answer)
    notice = json.loads(answer["HX-Trigger"])["notice"]
    assert "Set kernel parameters net.core.somaxconn=4096. Instances are replaced one by one" in notice
    client.post(f"{SHOP}/kernel", {"name": "nofile", "value": "1024:65536"})
    assert kernel_parameters(shop) == KernelParameters(
        {"net.core.somaxconn": "4096"}, {"nofile": (1024, 65536)}
    )
    page = text(client.get(f"{SHOP}/settings"))
    assert "nofile=1024:65536" in page
    newest = newest_release(shop)
    assert newest is not None
    shown = text(client.get(f"{SHOP}/releases/{newest.version}"))
    assert "Kernel parameter <code>nofile</code>" in shown
    assert "host&#x27;s default" in shown or "host's default" in shown


def test_removing(client: Client, shop: App) -> None:
    client.post(f"{SHOP}/kernel", {"name": "net.core.somaxconn", "value": "4096"})
    client.post(f"{SHOP}/kernel", {"name": "nofile", "value": "4096"})
    answer = client.post(f"{SHOP}/kernel/remove", {"name": "net.core.somaxconn"}, headers=HTMX)
    assert "net.core.somaxconn=" not in text(answer)
    again = client.post(f"{SHOP}/kernel/remove", {"name": "net.core.somaxconn"}, headers=HTMX)
    assert "was removed before" in again["HX-Trigger"]
    assert kernel_parameters(shop) == KernelParameters({}, {"nofile": (4096, 4096)})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("vm.swappiness", "1", "cannot be set for a container"),
        ("net.core.somaxconn", "<b>", "one whole number, not &#x27;&lt;b&gt;&#x27;"),
        ("nofiles", "1", "Did you mean nofile?"),
        ("", "", "cannot be set"),
    ],
)
def test_a_refusal_is_shown_in_its_form(client: Client, shop: App, name: str, value: str, words: str) -> None:
    before = shop.releases.count()
    answer = client.post(f"{SHOP}/kernel", {"name": name, "value": value}, headers=HTMX)
    assert answer.status_code == 422
    assert words in text(answer)
    assert shop.releases.count() == before


def test_strangers_and_passers_by_change_nothing(shop: App) -> None:
    answer = Client().post(f"{SHOP}/kernel", {"name": "nofile", "value": "4096"})
    assert answer.status_code == 302
    assert kernel_parameters(shop) == KernelParameters()
