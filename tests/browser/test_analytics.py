"""The page of analyses in Chromium: the live feed without a reload, its pause, and every width."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser import chromium
from tests.conftest import need
from tests.loop.portal import running_portal

pytestmark = pytest.mark.browser
TABS = ("errors", "analyses", "daily", "weekly")


@pytest.fixture(scope="module")
def portal():
    need(chromium.find(), "Chromium is not installed")
    with running_portal(PORTAL_DEMO="1") as it:
        yield it


@pytest.fixture(scope="module")
def started(portal):
    with chromium.browser(need(chromium.find(), "Chromium is not installed")) as it:
        yield it


def send(portal, message: str) -> None:
    key = portal.manage("dsn", "Journal app").split("//")[1].split("@")[0]
    record = {"component": "Journal", "message": message, "route": "/live"}
    status, told = portal.post("/api/errors/", record, Authorization=f"Bearer {key}")
    assert status == 201, json.dumps(told)


def test_a_new_error_appears_in_the_feed_without_a_reload_and_not_while_it_is_paused(portal, started):
    alice = chromium.visitor(portal, started)
    alice.sign_in("alice")
    alice.go("/admin/analytics/")
    feed, page = alice.page.locator("[data-feed-rows]"), alice.page
    page.evaluate("window.stillTheSamePage = true")
    send(portal, "first of the live feed")
    expect(feed.get_by_text("first of the live feed").first).to_be_visible(timeout=30_000)
    expect(page.locator("[data-feed-status]")).to_have_text("1 new error.")

    knob = page.get_by_role("button", name="Pause")
    knob.press("Enter")
    expect(knob).to_have_attribute("aria-pressed", "true")
    send(portal, "sent while it was paused")
    page.wait_for_timeout(8_000)
    expect(feed.get_by_text("sent while it was paused")).to_have_count(0)
    knob.press("Enter")
    expect(feed.get_by_text("sent while it was paused").first).to_be_visible(timeout=30_000)
    assert page.evaluate("window.stillTheSamePage") is True
    assert feed.locator("li").count() == 20
    assert alice.complaints == []


def test_a_row_that_has_the_keyboard_is_not_taken_away(portal, started):
    alice = chromium.visitor(portal, started)
    alice.sign_in("alice")
    alice.go("/admin/analytics/")
    first = alice.page.locator("[data-feed-rows] a").first
    first.focus()
    send(portal, "while somebody reads")
    alice.page.wait_for_timeout(8_000)
    expect(first).to_be_focused()
    expect(alice.page.locator("[data-feed-rows]").get_by_text("while somebody reads")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_no_tab_is_wider_than_its_window(portal, started, width):
    alice = chromium.visitor(portal, started, width=width, height=844)
    alice.sign_in("alice")
    paths = [*(f"/admin/analytics/?tab={tab}&range=30d" for tab in TABS), "/admin/storage/"]
    wide = {path: alice.overflow() for path in paths if alice.go(path) == 200 and alice.overflow() > 0}
    assert wide == {} and alice.complaints == []


def test_every_table_and_switch_is_reached_by_the_keyboard(portal, started):
    alice = chromium.visitor(portal, started)
    alice.sign_in("alice")
    alice.go("/admin/analytics/")
    reached = set()
    for _ in range(200):
        alice.page.keyboard.press("Tab")
        reached.add(
            alice.page.evaluate(
                "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
            )
        )
    wanted = {"7 d", "Daily review", "Apply", "Pause", "How is this made?", "As a table", "Top errors, table"}
    assert wanted <= reached
