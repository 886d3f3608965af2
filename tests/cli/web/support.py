"""A client of the pages, inside this process, that has come in by the address."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from cli.arguments.locations import Locations
from cli.runtime.serving.kept_index import KeptIndex
from cli.web.app import make_app
from cli.web.security import Access
from cli.web.site import Site
from tests.support.command import write_rollout
from tests.support.indexes import empty_index, in_index

PORT: Final = 7447
ADDRESS: Final = f"http://127.0.0.1:{PORT}"
BROWSER: Final = {
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "accept": "text/html",
}
"""What a browser says of a click on a link of ours."""
SCRIPT: Final = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "accept": "*/*"}
"""What it says of a script of ours, besides where that is from."""


def small_home(folder: Path, count: int = 3) -> Locations:
    """A home of some threads, ``thread_id(1)`` and so on, with an index that is in step."""
    home, index = folder / "home", folder / "state" / "index.sqlite3"
    for number in range(1, count + 1):
        write_rollout(home, number, f"prompt {number}")
    empty_index(index)
    in_index(home, index, lambda opened: opened.backfill())
    return Locations(home, index)


class Web(httpx.AsyncClient):
    """A browser that shows the pages of ``site``."""

    def __init__(self, site: Site, *, entered: bool = True) -> None:
        self.site = site
        super().__init__(
            transport=httpx.ASGITransport(make_app(site), raise_app_exceptions=False),
            base_url=ADDRESS,
            headers=BROWSER,
            cookies={site.access.cookie: site.access.session} if entered else None,
        )

    async def change(self, url: str, **fields: str) -> httpx.Response:
        """Send a form of ours."""
        return await self.post(url, data={"csrf": self.site.access.csrf, **fields})


@asynccontextmanager
async def web(
    here: Locations, *, entered: bool = True, allow_changes: bool = False
) -> AsyncGenerator[Web]:
    """A browser that shows the pages of a home. The index is kept in step meanwhile."""
    access = Access(PORT, allow_changes=allow_changes)
    async with KeptIndex(here) as kept:
        site = Site(here, kept, access)
        async with Web(site, entered=entered) as client:
            yield client
