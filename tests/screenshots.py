"""`make docs`: pictures of each page in light, dark and at phone width, from a portal with the demo story."""

import re
import sys
import time
from pathlib import Path

from tests.browser import chromium
from tests.browser.chromium import Visitor
from tests.loop.portal import Portal, running_portal

FOLDER = Path(__file__).parent.parent / "docs" / "screenshots"
MODES = {"light-1440": (1440, 900, False), "dark-1440": (1440, 900, True), "light-390": (390, 844, False)}
PAGES = {
    "triage": "/admin/",
    "incidents": "/admin/incidents/incident/?state=all",
    "incident": "/admin/incidents/incident/9/change/",
    "errors": "/admin/errors/errorgroup/",
    "error-group": "/admin/errors/errorgroup/?q=gateway",
    "post-mortems": "/admin/incidents/postmortem/",
    "post-mortem": "/admin/incidents/postmortem/5/change/",
    "post-mortem-draft": "/admin/incidents/postmortem/6/change/",
    "action-items": "/admin/incidents/actionitem/",
    "alerts": "/admin/alerts/alert/",
    "rules": "/admin/alerts/alertrule/",
    "rule": "/admin/alerts/alertrule/?q=Services",
    "rule-tried": "/admin/alerts/alertrule/?q=Services",
    "policy": "/admin/alerts/escalationpolicy/1/change/",
    "preview": "/admin/on-call/preview/?when=saturday",
    "schedule": "/admin/alerts/schedule/1/change/",
    "on-call": "/admin/on-call/",
    "reachability": "/admin/on-call/reachability/",
    "pages-sent": "/admin/alerts/page/",
    "kept-mail": "/admin/mail/",
    "audit": "/admin/audit/auditevent/",
    "ticks": "/admin/core/tickrun/",
    "storage": "/admin/storage/",
    "analytics": "/admin/analytics/",
    "analytics-analyses": "/admin/analytics/?tab=analyses",
    "analytics-daily": "/admin/analytics/?tab=daily",
    "analytics-weekly": "/admin/analytics/?tab=weekly",
    "analytics-30d": "/admin/analytics/?range=30d",
    "open-incident": "/admin/incidents/incident/add/",
    "integration": "/admin/alerts/integration/add/",
}
PHONES = {"light-390": False, "dark-390": True}
_LINK = re.compile(r"/answer/[\w-]{24}")


def answer_path(portal: Portal) -> str:
    """The link of a page that the demo's policy sent, out of the kept mail."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for kept in sorted((portal.data / "mail").glob("*"), reverse=True):
            if found := _LINK.search(kept.read_text(errors="replace").replace("=\n", "")):
                return found.group()
        time.sleep(0.5)
    raise LookupError("no kept mail carries a link")


def take(person: Visitor, mode: str, wanted: set[str]) -> None:
    """Every wanted page in one mode."""
    if not wanted or "sign-in" in wanted:
        person.go("/admin/login/")
        person.shot(FOLDER / f"sign-in-{mode}.png")
    person.sign_in("admin")
    for name, path in PAGES.items():
        if wanted and name not in wanted:
            continue
        person.go(path)
        if name == "error-group":
            person.page.locator("#result_list a, .groups a, main a").filter(has_text="gateway").first.click()
            person.page.wait_for_load_state()
        if name.startswith("rule-") or name == "rule":
            person.page.locator("#result_list a").filter(has_text="Errors in API Services").first.click()
            person.page.wait_for_load_state()
        if name == "rule-tried":
            person.page.locator("#past_condition").fill("errorCount > 3")
            person.page.locator(".trial__do button").click()
            person.page.wait_for_load_state()
        person.shot(FOLDER / f"{name}-{mode}.png")
        print(f"{name}-{mode}", flush=True)


def main() -> int:
    """All pages, or those named on the command line. 1 if there is no Chromium or a page complained."""
    path = chromium.find()
    if path is None:
        sys.stderr.write("Chromium is needed (Debian: apt install chromium).\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    wanted = set(sys.argv[1:])
    with running_portal(PORTAL_DEMO="1") as portal, chromium.browser(path) as browser:
        for mode, (width, height, dark) in MODES.items():
            person = chromium.visitor(portal, browser, width=width, height=height, dark=dark)
            take(person, mode, wanted)
            complaints += person.complaints
        for mode, dark in PHONES.items() if not wanted or "answer" in wanted else ():
            person = chromium.visitor(portal, browser, width=390, height=844, dark=dark)
            person.go(answer_path(portal))
            person.shot(FOLDER / f"answer-{mode}.png")
            complaints += person.complaints
    sys.stderr.write("".join(f"{complaint}\n" for complaint in complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
