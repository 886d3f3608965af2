"""The application."""

from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from cli.web.errors import HANDLERS, refused
from cli.web.pages import changes, health, thread, threads, usage
from cli.web.security import App, Guard
from cli.web.site import HERE, Site

_STYLES: Final = ("cli.render", "styles")
"""The sheets that exports have, too."""
_PAGES: Final = (threads, thread, usage, health, changes)


def make_app(site: Site) -> App:
    """The pages of a site, behind the guard."""
    app = Starlette(
        routes=[
            *(route for each in _PAGES for route in each.ROUTES),
            Mount("/static", StaticFiles(directory=HERE / "static", packages=[_STYLES])),
        ],
        exception_handlers=dict(HANDLERS),
    )
    app.state.site = site
    return Guard(app, site.access, partial(refused, site))
