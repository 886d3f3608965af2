"""What all pages share: where they work, who may come in, and how they are rendered."""

import asyncio
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from cli.arguments.locations import Locations, options_of
from cli.render.health.hints import pieces
from cli.runtime.serving.kept_index import KeptIndex
from cli.terminal.text import age, amount, iso, local, one_line, plural
from cli.web.security import Access
from cli.web.verification import Verification

HERE: Final = Path(__file__).parent
_FILTERS: Final = (age, amount, iso, local, one_line, plural)


def thread_url(thread_id: str, turn: int | None = None, machine: str | None = None) -> str:
    """The address of a thread, or of one of its turns; of a fleet, as a machine has it if one is
    named."""
    whose = "" if machine is None else f"/machine/{quote(machine, safe='')}"
    place = "" if turn is None else f"?turn={turn}#turn-{turn}"
    return f"{whose}/thread/{quote(thread_id, safe='')}{place}"


@dataclass(frozen=True)
class Site:
    """The pages of one home."""

    here: Locations
    kept: KeptIndex
    access: Access
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server ends."""
    streams: set[object] = field(default_factory=set)
    """What sends events to open pages."""
    verification: Verification = field(default_factory=Verification)
    templates: Environment = field(init=False, repr=False)

    def __post_init__(self) -> None:
        templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.globals["thread_url"] = thread_url
        templates.filters |= {each.__name__: each for each in _FILTERS}
        templates.filters["quoted"] = shlex.quote
        templates.filters["pieces"] = partial(pieces, options=options_of(self.here))
        object.__setattr__(self, "templates", templates)

    @property
    def is_fleet(self) -> bool:
        """Whether these are threads of a fleet."""
        return self.here.fleet is not None

    @property
    def allow_changes(self) -> bool:
        """Whether threads may be changed on these pages."""
        return self.access.allow_changes

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """A template with what all have, but for what has to be looked up."""
        shared = {
            "site": self,
            "csrf": self.access.csrf,
            "current": "",
            "incomplete": "",
            "now_ms": time.time_ns() // 1_000_000,
            "q": "",
            "theme": "",
        }
        return self.templates.get_template(template).render({**shared, **values})


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state.site
    return site


def theme_of(request: Request) -> str:
    """The colours that the reader has chosen; empty for those of the system."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in ("light", "dark") else ""


async def page(
    request: Request, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page. Besides ``values`` a template has ``site``, ``csrf`` (to send with a change),
    ``incomplete`` (why the answer may be incomplete, else empty), ``current`` (which item of the
    navigation it is: threads, usage or health), ``q`` (what is in the search box), ``theme`` (light
    or dark, if the reader chose one) and ``now_ms``."""
    site = site_of(request)
    values.setdefault("theme", theme_of(request))
    values.setdefault("incomplete", await site.kept.incomplete())
    return HTMLResponse(site.render(template, values), status)


fragment: Final = page
"""A part of a page, which a script puts into it: its template extends no other."""
