"""The dashboard as a person meets it: a real browser on the real server. Blocked scripts or styles fail each test."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.dashboard.conftest import Dashboard, listen, sign_in

pytestmark = pytest.mark.e2e

APP = "/dashboard/apps"
PAGES = (
    "/",
    f"{APP}/shop",
    f"{APP}/mailer",
    f"{APP}/field-notes",
    f"{APP}/shop/activity",
    f"{APP}/shop/releases/4",
    f"{APP}/shop/config",
    f"{APP}/shop/settings",
    f"{APP}/shop/resources",
    f"{APP}/shop/source",
    f"{APP}/handbook/source",
    "/dashboard/account",
    "/dashboard/hosts",
    "/dashboard/users",
    "/dashboard/audit",
    f"{APP}/shop/activity/events",
    f"{APP}/nothing",
)
# What text has less contrast with what is behind it than WCAG 2.2 AA asks for (4.5, large text 3).
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = (e) => {
    if (!e) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(e).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(e.parentElement));
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || e.closest(".hidden, .skip, [hidden], option") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), under = behind(e), ink = over(rgba(style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < (large ? 3 : 4.5)) poor.push(`${e.outerHTML.slice(0, 80)} ${contrast.toFixed(2)}`);
  }
  return poor;
}"""
UNNAMED = """() => [...document.querySelectorAll("button, a, input:not([type=hidden]), select, textarea, summary")]
  .filter((e) => e.getClientRects().length && !e.ariaHidden)
  .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim()))
  .map((e) => e.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_reads_and_is_named(
    browser: Browser, dashboard: Dashboard, scheme: str, width: int
) -> None:
    context = browser.new_context(
        base_url=dashboard.url,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        has_touch=width < 500,
    )
    page = context.new_page()
    complaints = listen(page)
    sign_in(page, dashboard)
    for path in PAGES:
        page.goto(path)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert (path, overflow) == (path, 0)
        assert (path, page.evaluate(CONTRAST)) == (path, [])
        assert (path, page.evaluate(UNNAMED)) == (path, [])
        assert (path, page.locator("h1").count()) == (path, 1)
    context.close()
    assert complaints == []


def test_nothing_is_loaded_from_elsewhere(page: Page, dashboard: Dashboard) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{APP}/shop")
    expect(page.locator("[data-log-state]")).to_have_text("Live")
    assert asked
    assert [url for url in asked if not url.startswith(dashboard.url)] == []


def test_a_new_app_shows_the_lines_to_push_it(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("Not A Name")
    page.get_by_role("button", name="Create app").click()
    expect(page.get_by_role("alert").filter(has_text="lower-case letters")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Not A Name")
    page.get_by_label("Name", exact=True).fill("tea-house")
    page.get_by_role("button", name="Create app").click()
    page.wait_for_url("**/dashboard/apps/tea-house")
    expect(page.locator("#push-lines")).to_contain_text("/tea-house.git\ngit push paas main")


def test_search(page: Page) -> None:
    page.get_by_role("searchbox").fill("mail")
    expect(page.locator("#app-shop")).to_have_count(0)
    expect(page.locator("#app-mailer")).to_be_visible()


def test_states_change_while_somebody_types(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{APP}/ledger-api")
    quantity = page.get_by_label("Number of web instances")
    quantity.fill("7")
    dashboard.manage(
        "from paas.controller.models import Instance\n"
        "Instance.objects.filter(app__name='ledger-api', number=1).update(state='unhealthy')"
    )
    expect(page.locator("#instances-web li").first).to_contain_text("web.1 crashed")
    expect(page.locator("#app-state")).to_contain_text("down")
    expect(page.locator("#summary")).to_contain_text("web: 0 of 2 up")
    expect(quantity).to_have_value("7")


def test_scaling_by_the_keyboard(page: Page) -> None:
    page.goto(f"{APP}/shop")
    more = page.get_by_role("button", name="One clock more")
    more.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Number of clock instances")).to_have_value("2")
    page.get_by_label("Number of clock instances").press("Enter")
    expect(page.locator(".notice")).to_contain_text("Scale clock=2")
    expect(page.locator("#instances-clock")).to_contain_text("Waiting to be placed")
    expect(page.locator("#deployment")).to_contain_text("Scale clock=2")


def test_a_refused_scaling_says_why_beside_it(page: Page) -> None:
    page.goto(f"{APP}/handbook")
    page.get_by_label("Number of web instances").evaluate("e => { e.max = 1000; e.value = 500; }")
    page.get_by_role("button", name="Scale", exact=True).click()
    expect(page.locator("form.scale .problem")).to_contain_text("cannot be scaled to 500")
    expect(page.get_by_label("Number of web instances")).to_have_value("500")


SAY = """
import time
from paas.controller.models import App
from paas.controller.services import logs
app = App.objects.get(name={app!r})
logs.write([logs.Line(str(app.id), "app", dyno, text, time.time()) for dyno, text in {lines!r}])
"""


def test_the_log_follows_filters_and_pauses(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{APP}/handbook")
    log, state = page.locator("[data-log]"), page.locator("[data-log-state]")
    expect(state).to_have_text("Live: no lines yet")
    lines = [("web.1", f"request {number}") for number in range(80)] + [
        ("worker.1", "<img src=x onerror=alert(1)> \x1b[31mred\x1b[0m")
    ]
    dashboard.manage(SAY.format(app="handbook", lines=lines))
    expect(log.locator(".row")).to_have_count(81)
    log.scroll_into_view_if_needed()
    expect(log.locator(".row").last).to_be_in_viewport()
    expect(log.locator(".row .text").last).to_have_text("<img src=x onerror=alert(1)> red")

    page.get_by_label("Find").fill("request 7")
    expect(log.locator(".row:visible")).to_have_count(11)
    page.get_by_label("Find").fill("")

    log.hover()
    page.mouse.wheel(0, -400)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    dashboard.manage(SAY.format(app="handbook", lines=[("web.1", "the newest")]))
    expect(log.locator(".row")).to_have_count(82)
    expect(log.locator(".row").last).not_to_be_in_viewport()
    page.get_by_role("button", name="Resume").click()
    expect(log.locator(".row").last).to_be_in_viewport()

    page.get_by_label("Process").select_option("worker")
    expect(log.locator(".row")).to_have_count(1)


def test_a_log_resumes_where_it_was_cut_off(
    page: Page, context: BrowserContext, dashboard: Dashboard
) -> None:
    page.goto(f"{APP}/mailer")
    dashboard.manage(SAY.format(app="mailer", lines=[("worker.1", "before")]))
    expect(page.locator("[data-log] .row")).to_have_count(1)
    context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    dashboard.manage(SAY.format(app="mailer", lines=[("worker.1", "meanwhile")]))
    context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()
    expect(page.locator("[data-log] .row .text")).to_have_text(["before", "meanwhile"], timeout=20_000)


def test_config_vars(page: Page) -> None:
    page.goto(f"{APP}/shop/config")
    expect(page.get_by_text("s3cret")).to_have_count(0)
    page.get_by_role("link", name="Reveal DATABASE_URL").click()
    expect(page.locator(".value")).to_contain_text("s3cret")
    page.get_by_role("link", name="Hide DATABASE_URL").click()
    expect(page.locator(".value")).to_have_count(0)

    page.get_by_label("Name", exact=True).fill("2BAD")
    page.get_by_label("Value", exact=True).fill("first\nsecond")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("form.add .problem")).to_contain_text("cannot name a config var")
    expect(page.get_by_label("Value", exact=True)).to_have_value("first\nsecond")

    page.get_by_label("Name", exact=True).fill("BANNER")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notice")).to_contain_text("without downtime")
    page.get_by_role("link", name="Edit BANNER").click()
    value = page.get_by_label("Value of BANNER")
    expect(value).to_have_value("first\nsecond")
    expect(value).to_be_focused()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove TLS_KEY").click()
    expect(page.get_by_text("TLS_KEY", exact=True)).to_have_count(0)


def test_rolling_back_asks_first(page: Page) -> None:
    page.goto(f"{APP}/shop/activity")
    first = page.locator("details.confirm").last
    first.locator("summary").click()
    expect(first.get_by_role("button", name="Roll back to v2")).to_be_visible()
    page.keyboard.press("Escape")
    expect(first.get_by_role("button", name="Roll back to v2")).to_be_hidden()
    expect(first.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    first.get_by_role("button", name="Roll back to v2").click()
    page.wait_for_url("**/dashboard/apps/shop")
    expect(page.locator("#deployment")).to_contain_text("Rollback to v2")
    expect(page.locator(".phases .active")).to_be_visible()


def test_a_running_build_streams_and_can_be_cancelled(page: Page, dashboard: Dashboard) -> None:
    page.goto(f"{APP}/ledger-api/builds/{dashboard.running_build}")
    log = page.locator("[data-build-log]")
    expect(log.locator(".row").first).to_have_text("-----> Building on debian-13")
    dashboard.manage(
        "from paas.controller.services import build_output\n"
        f"build_output.write('{dashboard.running_build}', '       and on it goes')"
    )
    expect(log.locator(".row").last).to_have_text("       and on it goes")
    page.get_by_role("button", name="Cancel the build").click()
    expect(page.locator("#build-state")).to_contain_text("cancelled")
    expect(log.locator(".row.bad")).to_contain_text("The build was cancelled")
    expect(page.locator("[data-log-state]")).to_have_text("Complete")
    page.reload()
    expect(log).to_contain_text("and on it goes")


def test_tokens_are_shown_once(page: Page) -> None:
    page.goto("/dashboard/account")
    page.get_by_label("What it is for").fill("tablet")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("#fresh-token")).to_have_text(re.compile(r"paas_\S{40,}"))
    page.reload()
    expect(page.get_by_role("button", name="Revoke tablet")).to_be_visible()
    expect(page.locator("#fresh-token")).to_have_count(0)


def test_a_session_that_ends_leads_to_the_login(page: Page, context: BrowserContext) -> None:
    page.goto(f"{APP}/handbook")
    context.clear_cookies()
    page.wait_for_url("**/login")


def test_destroying_needs_the_name(page: Page, dashboard: Dashboard) -> None:
    dashboard.manage(
        "from paas.controller.models import User\nfrom paas.controller.services.apps import create_app\n"
        f"create_app(User.objects.get(email='{dashboard.email}'), 'short-lived', 'debian-13')"
    )
    page.goto(f"{APP}/short-lived/settings")
    page.get_by_label("Type short-lived to confirm").fill("short")
    page.get_by_role("button", name="Destroy short-lived").click()
    expect(page.locator(".danger-zone .problem")).to_contain_text("Type short-lived to destroy it")
    page.get_by_label("Type short-lived to confirm").fill("short-lived")
    page.get_by_role("button", name="Destroy short-lived").click()
    page.wait_for_url(f"{dashboard.url}/")
    expect(page.locator("#app-shop")).to_be_visible()
    expect(page.locator("#app-short-lived")).to_have_count(0)


def test_pages_work_without_scripts(browser: Browser, dashboard: Dashboard) -> None:
    context = browser.new_context(base_url=dashboard.url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, dashboard)
    page.goto(f"{APP}/mailer")
    page.get_by_role("switch", name="Maintenance").click()
    expect(page.get_by_role("switch", name="Maintenance")).to_have_attribute("aria-checked", "true")
    page.goto(f"{APP}/mailer/config")
    page.get_by_role("link", name="Reveal WEB_CONCURRENCY").click()
    expect(page.locator(".value")).to_have_text("4")
    page.goto(f"{APP}/mailer/settings")
    page.get_by_label("Add a domain").fill("not a host")
    page.get_by_role("region", name="Domains").get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is not a host name")
    context.close()
