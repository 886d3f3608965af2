"""A real browser that shows the pages of a server: Debian's chromium, driven by Playwright."""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest

from tests.cli.web.server import Server
from tests.support.effort import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

_NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first one has no windows, and does the same in half the time of a processor."""
_NEXT_FRAME: Final = (
    "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20)))"
)
_TO_THE_END: Final = """() => {
  scrollTo(0, document.documentElement.scrollHeight);
  return !document.querySelector("#turns .later, #rows > .more");
}"""
Result = TypeVar("Result")


class Chromium:
    """The one browser of this process. Playwright runs an event loop in the thread that uses it, in
    which nothing else can run one: so it has a thread of its own, and tests that use it run there.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "browser")
        self.browser: Browser = self.run(self._start)

    def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives in the thread of the browser."""
        return self._thread.submit(work).result()

    def _start(self) -> "Browser":
        sync_api = pytest.importorskip(
            "playwright.sync_api", reason="NO BROWSER TESTS: Playwright is not installed"
        )
        path = next(filter(None, map(shutil.which, _NAMES)), None)
        if path is None:
            pytest.skip("NO BROWSER TESTS: there is no chromium; apt-get install chromium")
        self._playwright = sync_api.sync_playwright().start()
        started: Browser = self._playwright.chromium.launch(
            executable_path=path,
            chromium_sandbox=os.geteuid() != 0,  # as root it starts only without
        )
        return started

    def close(self) -> None:
        """End it."""
        self.run(self.browser.close)
        self.run(self._playwright.stop)
        self._thread.shutdown()


class Tab:
    """A tab that has come in, and what went wrong in it."""

    def __init__(self, context: "BrowserContext", server: Server, path: str | None) -> None:
        self.context, self.server = context, server
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.wrong: list[str] = []
        """Errors of scripts, refusals of the browser, dialogs, and requests to elsewhere."""
        self._pending: set[Any] = set()
        context.on("request", self._requested)
        context.on("requestfinished", self._answered)
        context.on("requestfailed", self._answered)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", self._asked)
        if path is None:
            self.page.goto(server.address)
            return
        name, _, value = server.headers["cookie"].partition("=")
        context.add_cookies([{"name": name, "value": value, "url": self.base}])
        if path:
            self.go(path)

    @property
    def base(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.server.port}"

    def go(self, path: str) -> "Page":
        """Load a page of the server."""
        self.page.goto(self.base + path)
        return self.page

    def settle(self) -> None:
        """Wait until what was asked for is there, and shown."""
        while True:
            self.page.evaluate(_NEXT_FRAME)
            if not self._pending:
                return

    def listed(self, text: str) -> None:
        """Wait until the list of threads is of this text, once one was typed. What it says may be
        the same for the text before, as for one that is not typed to its end."""
        self.page.wait_for_url(f"{self.base}/?{urlencode({'q': text})}")
        self.page.locator("#list[aria-busy=false]").wait_for()

    def scroll_to_the_end(self) -> None:
        """Scroll until there is nothing more to come."""
        self.until(f"({_TO_THE_END})()")
        self.settle()

    def until(self, expression: str) -> None:
        """Wait for something to be so. The policy of pages forbids Playwright's own way."""
        ends = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(expression):
            assert time.monotonic() < ends, expression
            self.page.wait_for_timeout(50)

    def _requested(self, request: Any) -> None:
        if request.resource_type != "eventsource":
            self._pending.add(request)
        address = urlsplit(request.url)
        ours = f"{address.scheme}://{address.netloc}" == self.base
        if not ours and address.scheme != "data":
            self.wrong.append(f"request: {request.url}")

    def _answered(self, request: Any) -> None:
        self._pending.discard(request)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            place = message.location.get("url", "")
            self.wrong.append(f"console: {message.text} {place}".rstrip())

    def _asked(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()


class Tabs:
    """Opens tabs."""

    def __init__(self, browser: "Browser") -> None:
        self._browser = browser
        self.opened: list[Tab] = []

    def __call__(self, server: Server, path: str | None = None, **options: Any) -> Tab:
        """A tab at a page of the server (``""``: it may show its pages, and is at none yet), or
        where the address of the server leads, with the options of a context of Playwright:
        ``color_scheme="dark"``, ``viewport={"width": 390, "height": 844}``, ``has_touch=True``."""
        context = self._browser.new_context(**{"reduced_motion": "reduce", **options})
        tab = Tab(context, server, path)
        self.opened.append(tab)
        return tab

    def close(self) -> None:
        """Close them all."""
        for tab in self.opened:
            tab.context.close()
