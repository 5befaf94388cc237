"""@sentry/browser with its own transport in Chromium, on a page of another origin and through a tunnel."""

import http.server
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.conftest import need
from tests.sdks.conftest import stored
from tests.sdks.test_node import event

pytestmark = pytest.mark.browser
HERE = Path(__file__).parent
BUTTONS = ("fail", "reject", "handled", "feedback", "drop")


class Site(http.server.BaseHTTPRequestHandler):
    """The application: its page, its script, and the route that forwards to the portal."""

    portal = dsn = ""
    script = b""
    forwarded = 0

    def do_GET(self):
        if self.path == "/page.js":
            self._answer(200, "text/javascript", self.script)
        elif self.path in ("/direct", "/tunnel"):
            tunnel = ' data-tunnel="/monitoring"' if self.path == "/tunnel" else ""
            buttons = "".join(f'<button id="{name}">{name}</button>' for name in BUTTONS)
            page = f'<!doctype html><body>{buttons}<script src="/page.js" data-dsn="{self.dsn}"{tunnel}></script>'
            self._answer(200, "text/html", page.encode())
        else:
            self._answer(404, "text/plain", b"")

    def do_POST(self):
        """The tunnel's own half."""
        Site.forwarded += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        to = urllib.request.Request(f"{self.portal}/api/tunnel/", body, {"Content-Type": "text/plain"})
        try:
            with urllib.request.urlopen(to, timeout=10) as answer:
                self._answer(answer.status, "application/json", answer.read())
        except urllib.error.HTTPError as refused:
            self._answer(refused.code, "application/json", refused.read())

    def _answer(self, status, kind, body):
        # Only a page that posts straight to the portal may connect to it.
        may = "'self'" if self.path == "/tunnel" else f"'self' {self.portal}"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(
            "Content-Security-Policy", f"default-src 'none'; script-src 'self'; connect-src {may}"
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The page's script with the SDK in it."""
    esbuild = HERE / "node_modules/.bin/esbuild"
    need(str(esbuild.exists() or ""), "run `npm ci --ignore-scripts` in tests/sdks")
    made = tmp_path_factory.mktemp("page") / "page.js"
    subprocess.run(
        [esbuild, "apps/page.js", "--bundle", "--log-level=error", f"--outfile={made}"],
        cwd=HERE,
        check=True,
        timeout=60,
    )
    return made.read_bytes()


@pytest.fixture(scope="module")
def started(bundle):
    with chromium.browser(need(chromium.find(), "Chromium is not installed")) as it:
        yield it


@pytest.fixture
def site(portal, bundle):
    Site.portal, Site.script, Site.forwarded = portal.site, bundle, 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("way", ["direct", "tunnel"])
def test_a_page(portal, started, site, way):
    name = f"Page {way}"
    Site.dsn = portal.manage("dsn", name)
    complaints = []
    page = started.new_context(user_agent="Mozilla/5.0 (iPhone) Mobile").new_page()
    page.on(
        "console",
        lambda message: complaints.append(message.text) if "refused" in message.text.lower() else None,
    )
    page.goto(f"{site}/{way}")
    for button in BUTTONS:
        page.click(f"#{button}")
    assert page.evaluate("flush()")
    page.goto("about:blank")  # what is left leaves with the page
    page.context.close()
    found = stored(
        portal, name, lambda f: len(f["events"]) == 3 and f["requests"] and f["said"] and f["said"][0][1]
    )
    assert (
        found["aside"] == []
        and complaints == []
        and "hunter2" not in str(found)
        and "alice" not in str(found)
    )
    assert bool(Site.forwarded) == (way == "tunnel")
    failed = event(found, "Cannot read properties of undefined (reading 'name')")
    assert (failed["component"], failed["release"], failed["device"]) == ("Frontend UI", "front@5", "mobile")
    assert failed["payload"]["exceptions"][-1]["stacktrace"]["frames"][-1]["function"].endswith("addToBasket")
    assert failed["payload"]["breadcrumbs"][-1]["message"] == "body > button#fail"
    assert event(found, "no such page")["title"].startswith("RangeError")
    handled = event(found, "the basket is empty")
    assert (handled["component"], handled["tags"]["tenant"]) == ("Basket", "acme") and handled["user"]
    ((about, name, text),) = found["files"]
    assert (about, name) == (handled["event_id"], "basket.json") and '"lamps": 2' in text
    assert found["said"][0][:2] == ["I cannot pay.", "TypeError: the basket is empty"]
    assert found["said"][0][3] == f"{site}/{way}"
    assert found["counts"]["event sdk:before_send"] == 1
    assert [r[:2] for r in found["requests"]] == [[f"/{way}", 1]]
    assert found["sessions"] == {"healthy": 0, "errored": 1, "crashed": 0}


def test_a_page_may_ask_beforehand_and_read_every_refusal(portal, started, site):
    """With the headers that SDKs add: what the browser's own checks let through is what counts."""
    Site.dsn = portal.manage("dsn", "Asking")
    page = started.new_page()
    page.goto(f"{site}/direct")
    ask = """async ([to, key]) => {
      const answer = await fetch(to, {method: "POST", body: "{}\\n", headers: {
        "X-Sentry-Auth": `Sentry sentry_key=${key}`, "sentry-trace": "0-0", baggage: "a=b",
        "Content-Type": "text/plain", Authorization: `Bearer ${key}`}});
      return [answer.status, answer.headers.get("X-Sentry-Error")];
    }"""
    key, number = Site.dsn.split("//")[1].split("@")[0], Site.dsn.rpartition("/")[2]
    door = f"{portal.site}/api/{number}/envelope/"
    assert page.evaluate(ask, [door, key]) == [200, None]
    status, reason = page.evaluate(ask, [door, "f" * 32])
    assert status == 401 and "project key" in reason
    assert page.evaluate(ask, [f"{portal.site}/api/tunnel/", key])[0] == 401  # by the envelope's DSN alone
    assert page.evaluate(ask, [f"{portal.site}/api/errors/client", key])[0] == 400
