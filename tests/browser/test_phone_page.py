"""The phone page behind a page's link in a browser: 390 px, both themes, without script; a thumb takes the alert."""

import pytest
from playwright.sync_api import expect

from apps.alerts import outbox, paging
from apps.alerts.models import Alert, Escalation
from apps.core.ticks import database_now
from tests import cached
from tests.alerts.make import make_alert, make_policy, make_user
from tests.browser import chromium
from tests.conftest import need

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}
LONG = "Kartenzahlungsabwicklungsdienstleisterschnittstelle " * 3


def make_link(**facts):
    now = database_now()
    alice = make_user("alice", is_superuser=True)
    make_alert(make_policy((0, alice), (300, make_user("bob"))), now=now)
    Alert.objects.update(**facts)
    paging.escalate_due(now=now)
    page = outbox.claim(outbox.due_ids(now=now, limit=1)[0], now=now)
    return page.data["answer_url"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("title", ["Payments are failing", LONG[:200]])
def test_one_screen_takes_the_alert_without_script(live_server, settings, tmp_path, theme, title):
    path = need(chromium.find(), "Chromium is not installed")
    settings.SITE_URL = live_server.url
    cached.forget()
    link, weights = make_link(title=title), []
    with chromium.browser(path) as browser:
        context = browser.new_context(viewport=PHONE, color_scheme=theme, java_script_enabled=False)
        page = context.new_page()
        page.on("response", lambda answer: weights.append(len(answer.body())))
        page.goto(link)
        for label in ("Acknowledge", "Escalate now", "I can't", "Resolve"):
            box = page.get_by_role("button", name=label).bounding_box()
            assert box["height"] >= 44 and 0 <= box["x"] <= box["x"] + box["width"] <= PHONE["width"]
            assert box["y"] + box["height"] <= PHONE["height"], "under the thumb without scrolling"
        widest = page.locator("main, .verbs, h1, dd").evaluate_all(
            "all => Math.max(...all.map(one => one.getBoundingClientRect().right))"
        )
        assert widest <= PHONE["width"]
        page.screenshot(path=tmp_path / f"phone-{theme}.png")
        assert sum(weights) <= 30_000
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("alice acknowledged it by this link")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)
        page.screenshot(path=tmp_path / f"phone-{theme}-done.png")
    assert Alert.objects.get().acked_by == "alice" and Escalation.objects.get().state == "stopped"
