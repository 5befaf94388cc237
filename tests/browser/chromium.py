"""Chromium for tests and screenshots: Debian's, driven by Playwright; a console error or policy violation fails."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.loop.portal import Portal

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def find() -> str | None:
    """Path of the browser, if this machine has one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browser(path: str) -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


@dataclass
class Visitor:
    """One person at one browser window; collects what the console complains about."""

    portal: Portal
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page: Page = self.context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{self.page.url}: {message.text}")

    def sign_in(self, name: str) -> None:
        """With the demo's password."""
        self.go("/admin/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", (self.portal.data / "demo-password").read_text().strip())
        self.page.click("[type=submit]")

    def go(self, path: str) -> int:
        """Open a page; its status."""
        answer = self.page.goto(self.portal.site + path)
        return answer.status if answer else 0

    def press(self, label: str) -> None:
        """The first button whose words begin like that, and what it leads to."""
        self.page.get_by_role("button", name=re.compile(f"^{re.escape(label)}\\s*(:|$)")).first.click()
        self.page.wait_for_load_state()

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def shot(self, path: Path) -> None:
        """The whole page as a picture."""
        self.page.evaluate("document.fonts.ready")
        self.page.screenshot(path=path, full_page=True)


def visitor(
    portal: Portal, started: Browser, *, width: int = 1440, height: int = 900, dark: bool = False
) -> Visitor:
    """A fresh window without cookies."""
    scheme = "dark" if dark else "light"
    return Visitor(
        portal, started.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    )
