"""Isolation in the settings of an app."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.utils import timezone

from paas.controller.models import App, Host
from paas.controller.selectors.releases import newest_release
from paas.controller.selectors.sandbox import Sandbox, sandbox_of
from tests.integration.dashboard.conftest import HTMX

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SHOP = "/dashboard/apps/shop"


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


def test_choosing_of_what_hosts_offer(client: Client, shop: App) -> None:
    offer = {"runtimes": [{"name": "crun"}, {"name": "runc"}], "seccomp": ["mine"]}
    Host.objects.create(name="able", url="https://127.0.0.1:1", offer=offer, seen_at=timezone.now())
    page = text(client.get(f"{SHOP}/settings"))
    assert "<option>runc</option>" in page
    assert "<option>mine</option>" in page
    form = {"runtime": "runc", "seccomp": "mine", "readonly": "on"}
    answer = client.post(f"{SHOP}/sandbox", form, headers=HTMX)
    assert "<option selected>runc</option>" in text(answer)
    notice = json.loads(answer["HX-Trigger"])["notice"]
    assert "Set runtime=runc, seccomp=mine, readonly=on. Instances are replaced" in notice
    assert sandbox_of(shop) == Sandbox("runc", "mine", True)
    newest = newest_release(shop)
    assert newest is not None
    assert "Isolation <code>runtime</code>" in text(client.get(f"{SHOP}/releases/{newest.version}"))
    client.post(f"{SHOP}/sandbox", {"runtime": "", "seccomp": ""}, headers=HTMX)
    assert sandbox_of(shop) == Sandbox()
    refused = client.post(f"{SHOP}/sandbox", {"runtime": "kata", "seccomp": ""}, headers=HTMX)
    assert "No host that is ready has the runtime" in text(refused)
