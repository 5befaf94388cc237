"""The reporter script in a real page of another origin, with a strict policy, against a whole portal."""

import http.server
import threading
from urllib.parse import urlsplit

import pytest

from tests.browser import chromium
from tests.conftest import need
from tests.loop.portal import KEY, eventually, running_portal

pytestmark = pytest.mark.browser
STORED = """
import json
from apps.errors.models import ErrorEvent
print(json.dumps([
    [e.error_type, e.message, e.component.name, e.release, e.environment, e.endpoint, e.source, e.severity, e.tags,
     e.payload.get("extra", {}), [f["function"] for x in e.payload.get("exceptions", [])
                                  for f in x["stacktrace"]["frames"]], e.event_id]
    for e in ErrorEvent.objects.order_by("pk")]))
"""
APP = """
const act = {
  thrown() { undefinedFunction(); },
  rejected() { Promise.reject(new RangeError("too far")); },
  rejectedWord() { Promise.reject("just a word"); },
  thrownWord() { throw "plain text"; },
  twice() { for (let i = 0; i < 5; i++) setTimeout(() => { throw new Error("again and again"); }); },
  flood() { for (let i = 0; i < 50; i++) setTimeout(() => { throw new Error("number " + i); }); },
  image() { const i = new Image(); i.src = "/missing.png?token=secret"; document.body.append(i); },
  byHand() {
    window.answered = portal.report(new TypeError("by hand"), {component: "Cart", severity: "Major", tags: {a: "b"},
      basket: {items: 3}});
  },
  ring() { const ring = {}; ring.self = ring; window.answered = portal.report(new Error("a ring"), {ring}); },
  hostile() {
    const bad = new Proxy({}, {get() { throw new Error("trap"); }, has() { throw new Error("trap"); }});
    window.answered = [portal.report(bad), portal.report(null), portal.report(undefined, 7), portal.report(Symbol("s")),
      portal.report(Object.create(null)), portal.report({message: {toString() { throw 1; }}})];
  },
};
for (const [name, work] of Object.entries(act)) document.getElementById(name).addEventListener("click", work);
"""
BUTTONS = (
    "thrown",
    "rejected",
    "rejectedWord",
    "thrownWord",
    "twice",
    "flood",
    "image",
    "byHand",
    "ring",
    "hostile",
)


class Site(http.server.BaseHTTPRequestHandler):
    """A page of an application, under a policy that allows the portal and nothing inline."""

    portal = ""
    attributes = ""

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/app.js":
            self._answer(200, "text/javascript", APP)
        elif path.startswith("/shop"):
            buttons = "".join(f'<button id="{name}">{name}</button>' for name in BUTTONS)
            asked = " data-resources" if path.endswith("images") else ""
            script = f'<script src="{self.portal}/reporter.js" {self.attributes}{asked} defer></script>'
            self._answer(200, "text/html", f"<!doctype html><title>Shop</title>{script}"
                                           f'<body>{buttons}<script src="/app.js" defer></script>')  # fmt: skip
        else:
            self._answer(404, "text/plain", "no")

    def _answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        allowed = (
            f"default-src 'none'; img-src 'self'; script-src 'self' {self.portal}; connect-src {self.portal}"
        )
        self.send_header("Content-Security-Policy", allowed)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture(scope="module")
def portal():
    need(chromium.find(), "Chromium is not installed")
    with running_portal() as it:
        it.manage("dsn", "Shop", "--key", KEY)
        yield it


@pytest.fixture(scope="module")
def started(portal):
    with chromium.browser(need(chromium.find(), "Chromium is not installed")) as it:
        yield it


@pytest.fixture(scope="module")
def site(portal):
    Site.portal = portal.site
    Site.attributes = (
        f'data-key="{KEY}" data-component="Shop front" data-release="shop@2" data-environment="test"'
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def page(started, site):
    context = started.new_context()
    opened = context.new_page()
    opened.goto(f"{site}/shop/cart?card=4111111111111111")
    yield opened
    context.close()


NAMES = ("kind", "message", "component", "release", "environment", "endpoint", "source", "severity", "tags", "extra",
         "functions", "id")  # fmt: skip


def stored(portal, message):
    """The facts of the events with that message, once there is one."""
    found = eventually(lambda: [e for e in portal.ask(STORED) if e[1] == message], message)
    return [dict(zip(NAMES, e, strict=True)) for e in found]


def test_an_uncaught_error_is_reported_with_its_stack_and_what_the_page_says_of_itself(portal, page):
    page.click("#thrown")
    (one,) = stored(portal, "undefinedFunction is not defined")
    assert one["kind"] == "ReferenceError" and "thrown" in one["functions"][-1]
    assert (one["component"], one["release"], one["environment"]) == ("Shop front", "shop@2", "test")
    assert (one["endpoint"], one["source"], one["severity"]) == ("/shop/cart", "client", "Minor")


def test_rejections_and_thrown_words_are_reported(portal, page):
    for name in ("rejected", "rejectedWord", "thrownWord"):
        page.click(f"#{name}")
    assert stored(portal, "too far")[0]["kind"] == "RangeError"
    assert stored(portal, "just a word")[0]["kind"] == "UnhandledRejection"
    assert len(stored(portal, "plain text")) == 1


def test_the_same_error_is_reported_once_a_minute_and_a_flood_is_cut(portal, page):
    page.click("#twice")
    page.click("#flood")
    page.click("#byHand")  # the minute's ten are used up
    assert page.evaluate("answered") == ""
    assert len(stored(portal, "again and again")) == 1
    stored(portal, "number 8")
    assert len([e for e in portal.ask(STORED) if e[1].startswith("number ")]) == 9


def test_a_page_reports_by_hand_and_learns_the_id(portal, page):
    page.click("#byHand")
    (one,) = stored(portal, "by hand")
    assert one["id"] == page.evaluate("answered")
    assert (one["component"], one["severity"], one["tags"]["a"]) == ("Cart", "Major", "b")
    assert one["extra"]["basket"] == {"items": 3}


def test_nothing_that_is_reported_makes_the_page_fail(portal, page):
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.click("#hostile")
    page.click("#ring")
    assert page.evaluate("answered")
    stored(portal, "a ring")
    assert complaints == []


def test_what_does_not_load_is_reported_where_the_page_asks_for_it(portal, started, site, page):
    page.click("#image")
    asking = started.new_context().new_page()
    asking.goto(f"{site}/shop/images")
    asking.click("#image")
    found = stored(portal, f"could not load img {site}/missing.png")
    assert [e["endpoint"] for e in found] == ["/shop/images"]


def test_a_portal_that_is_away_or_refuses_does_not_trouble_the_page(started, site, page):
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/api/errors/client*", lambda route: route.abort())
    page.click("#byHand")
    assert page.evaluate("answered")
    page.unroute_all()
    page.route("**/api/errors/client*", lambda route: route.fulfill(
        status=429, headers={"Retry-After": "60", "Access-Control-Allow-Origin": "*",
                             "Access-Control-Expose-Headers": "Retry-After"}))  # fmt: skip
    with page.expect_response("**/api/errors/client*"):
        page.click("#ring")
    page.evaluate("new Promise((done) => setTimeout(done))")
    page.click("#hostile")
    assert set(page.evaluate("answered")) == {""}
    assert complaints == []
