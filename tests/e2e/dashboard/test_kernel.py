"""Kernel parameters in a browser: set, refused in words beside the field, removed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e


def test_setting_being_refused_and_removing(page: Page) -> None:
    page.goto("/dashboard/apps/field-notes/settings")
    section = page.get_by_role("region", name="Kernel parameters")
    name, value = section.get_by_label("Set a parameter"), section.get_by_label("Value")
    name.fill("net.core.somaxcon")
    value.fill("4096")
    section.get_by_role("button", name="Set").click()
    expect(section.get_by_text("Did you mean net.core.somaxconn?")).to_be_visible()
    expect(value).to_have_value("4096")
    name.fill("net.core.somaxconn")
    section.get_by_role("button", name="Set").click()
    expect(section.get_by_text("net.core.somaxconn=4096")).to_be_visible()
    expect(section.locator("li", has_text="connections that may wait for accept()")).to_be_visible()
    name.fill("nofile")
    value.fill("1024:65536")
    value.press("Enter")
    expect(section.get_by_text("nofile=1024:65536")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    section.get_by_role("button", name="Remove net.core.somaxconn").click()
    expect(section.get_by_text("net.core.somaxconn=4096")).to_have_count(0)
    page.reload()
    expect(section.get_by_text("nofile=1024:65536")).to_be_visible()
