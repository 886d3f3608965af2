"""Makes the pictures of docs/web.md anew, from the sample home: ``python -m
tests.cli.web.browser.pictures``. Look at them before you keep them."""

import base64
import tempfile
from pathlib import Path
from typing import Any, Final

from tests import ROOT
from tests.cli.web.browser.chromium import Chromium, Tab, Tabs
from tests.cli.web.server import Server
from tests.conftest import copy_corpus
from tests.support.command import Cli

_DESKTOP: Final = {"width": 1280, "height": 800}
_PHONE: Final = {"width": 390, "height": 780}
_FOLDER: Final = ROOT / "docs" / "images"


def shoot(tab: Tab, name: str) -> None:
    """Keep what a tab shows. Playwright itself makes no WebP, which is a fifth of a PNG."""
    tab.page.wait_for_load_state("networkidle")
    tab.page.evaluate("document.fonts.ready")
    tab.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    tab.settle()
    # Without a scale, a pixel of CSS is one of the picture, whatever the scale of the tab is.
    clip = {"x": 0, "y": 0, "scale": 1.5, **(tab.page.viewport_size or {})}
    made = tab.context.new_cdp_session(tab.page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 70, "clip": clip}
    )
    path = _FOLDER / f"web-{name}.webp"
    path.write_bytes(base64.b64decode(made["data"]))
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def take(tabs: Tabs, server: Server) -> None:
    """All of them."""
    large: dict[str, Any] = {"viewport": _DESKTOP, "device_scale_factor": 1.5}
    small: dict[str, Any] = {"viewport": _PHONE, "device_scale_factor": 2}
    tab = tabs(server, **large)
    tab.go("/?q=pagination")
    shoot(tab, "list")
    tab.go("/usage?since=2026-08-01")
    shoot(tab, "usage")
    tab = tabs(server, **large, color_scheme="dark")
    tab.go("/thread/01a1e804-e168-7a02-91ee-819ac5a1c624?turn=1")
    shoot(tab, "thread")
    tab = tabs(server, **small, color_scheme="dark", has_touch=True)
    shoot(tab, "phone")


def main() -> None:
    """Serve a copy of the sample home, and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        cli = Cli(copy_corpus(base / "home"), base)
        cli.run("backfill")
        cli.run("search", "pagination")
        chromium = Chromium()
        tabs = Tabs(chromium.browser)
        with Server(cli, "--port", "0") as server:
            chromium.run(lambda: take(tabs, server))
            chromium.run(tabs.close)
        chromium.close()


if __name__ == "__main__":
    main()
