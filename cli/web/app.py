"""The application."""

import asyncio
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

from cli.web.errors import HANDLERS, refused
from cli.web.leaving import Leaving
from cli.web.pages import threads
from cli.web.security import App, Guard, Receive, Scope, Send
from cli.web.site import HERE, Site

_STYLES: Final = ("cli.render", "styles")
"""The sheets that exports have, too."""
_OTHERS: Final = ("thread", "usage", "health", "changes", "metrics")


class OtherPages:
    """All pages but the first, which is there sooner when they are loaded after it."""

    def __init__(self) -> None:
        self._router: Router | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        router = self._router or await self.load()
        await router(scope, receive, send)

    async def load(self) -> Router:
        """Load them."""
        routes = await asyncio.to_thread(_routes)
        self._router = Router(routes)
        return self._router


def _routes() -> list[Route]:
    found: list[Sequence[Route]] = [
        import_module(f"cli.web.pages.{name}").ROUTES for name in _OTHERS
    ]
    return [route for routes in found for route in routes]


def make_app(site: Site, others: OtherPages | None = None) -> App:
    """The pages of a site, behind the guard."""
    app = Starlette(
        routes=[
            *threads.ROUTES,
            Mount("/static", StaticFiles(directory=HERE / "static", packages=[_STYLES])),
            Mount("/", others or OtherPages()),
        ],
        exception_handlers=dict(HANDLERS),
    )
    app.state.site = site
    return Guard(Leaving(app), site.access, partial(refused, site))
