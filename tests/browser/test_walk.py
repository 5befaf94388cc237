"""The main job as its people do it, in Chromium against a whole portal with the demo story."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import chromium
from tests.conftest import need
from tests.loop.portal import running_portal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def portal():
    need(chromium.find(), "Chromium is not installed")
    with running_portal(PORTAL_DEMO="1") as it:
        yield it


@pytest.fixture(scope="module")
def started(portal):
    with chromium.browser(need(chromium.find(), "Chromium is not installed")) as it:
        yield it


def test_from_triage_to_an_approved_post_mortem(portal, started):
    alice = chromium.visitor(portal, started)
    alice.sign_in("alice")
    page = alice.page
    expect(page.get_by_role("heading", name="Triage")).to_be_visible()
    expect(page.get_by_text("Card payments fail").first).to_be_visible()

    alice.press("Acknowledge")
    page.get_by_role("link", name=re.compile("Card payments fail")).first.click()
    expect(page.get_by_text("Acknowledged by alice").first).to_be_visible()
    expect(page.get_by_role("button", name="Acknowledge", exact=True)).to_have_count(0)
    assert "Next: Bob" not in page.inner_text("body")

    page.fill("textarea[name=text]", "Gateway refuses <b>two</b> of our four addresses.")
    alice.press("Add note")
    expect(page.get_by_text("Gateway refuses <b>two</b> of our four addresses.")).to_be_visible()

    alice.press("Mark mitigated")
    alice.press("Resolve")
    expect(page.get_by_text("Resolved by alice").first).to_be_visible()

    page.get_by_role("button", name=re.compile("post-mortem", re.I)).first.click()
    page.wait_for_load_state()
    document = page.url
    assert "Payments" in page.input_value("[name=impact]")
    assert "Acknowledged by alice" in page.input_value("[name=timeline]")
    for section in ("summary", "root_cause", "mitigation", "tests_added", "lessons"):
        page.fill(f"[name={section}]", f"What alice found out about the {section}.")
    alice.press("Save")
    alice.press("Submit for review")
    expect(page.get_by_text("In review").first).to_be_visible()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)

    bob = chromium.visitor(portal, started)
    bob.sign_in("bob")
    bob.page.goto(document)
    bob.press("Approve")
    expect(bob.page.get_by_text("Approved").first).to_be_visible()
    assert re.search(r"[0-9a-f]{64}", bob.page.inner_text("body"))
    bob.press("Publish")
    expect(bob.page.get_by_text("Published").first).to_be_visible()
    assert alice.complaints == [] and bob.complaints == []


def test_an_auditor_sees_what_was_done_and_changes_nothing(portal, started):
    carol = chromium.visitor(portal, started)
    carol.sign_in("carol")
    assert carol.go("/admin/audit/auditevent/") == 200
    expect(carol.page.get_by_text("session.login").first).to_be_visible()
    assert carol.go("/admin/incidents/incident/9/change/") == 200
    assert carol.page.locator("main form[method=post] button, #content form[method=post] button").count() == 0
    assert carol.go("/admin/alerts/channel/add/") == 403
    assert [c for c in carol.complaints if "403" not in c] == []


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_no_page_is_wider_than_its_window(portal, started, width):
    alice = chromium.visitor(portal, started, width=width, height=844)
    alice.sign_in("alice")
    paths = ["/admin/", "/admin/incidents/incident/?state=all", "/admin/incidents/incident/9/change/",
             "/admin/errors/errorgroup/", "/admin/errors/errorgroup/1/change/", "/admin/incidents/postmortem/",
             "/admin/incidents/postmortem/1/change/", "/admin/incidents/actionitem/", "/admin/alerts/alert/",
             "/admin/alerts/escalationpolicy/1/change/", "/admin/mail/", "/admin/search/?q=pay",
             "/admin/on-call/", "/admin/on-call/preview/?when=saturday", "/admin/on-call/reachability/",
             "/admin/alerts/schedule/1/change/", "/admin/alerts/alertrule/1/change/"]  # fmt: skip
    wide = {path: alice.overflow() for path in paths if alice.go(path) == 200 and alice.overflow() > 0}
    assert wide == {} and alice.complaints == []
