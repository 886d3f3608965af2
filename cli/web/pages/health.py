"""The state of the index, and what to do."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.web.site import site_of


async def progress(request: Request) -> Response:
    """How far the index is, for the line at the head of open pages."""
    return JSONResponse({"incomplete": await site_of(request).kept.incomplete()})


ROUTES: Final[Sequence[Route]] = (Route("/health/progress", progress),)
