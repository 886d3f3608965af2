"""The list of threads."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.web.site import page, site_of
from state.query.model import Query


async def threads(request: Request) -> Response:
    """The list page."""
    store = await site_of(request).kept.store()
    found = await store.list_threads(Query())
    return await page(request, "threads.html", current="threads", rows=found.rows)


ROUTES: Final[Sequence[Route]] = (Route("/", threads),)
