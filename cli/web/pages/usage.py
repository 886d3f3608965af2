"""Tokens and costs: the page of ``stats --html``, with a choice of time, threads and tables."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import typer
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.arguments.span import calendar_of, span_before, span_of
from cli.filter.known import known_of
from cli.filter.tokens import quoted
from cli.filter.wanted import wanted
from cli.render.stats.page import Links, numbers
from cli.runtime.open_index import look_up_prices
from cli.runtime.usage import report, usage_steps
from cli.web.site import Site, page, site_of, thread_url
from state.query.model import Query
from state.reports import DIMENSIONS, OF_FLEET
from state.reports.stats import Asked, copies_due_steps
from state.thread_index import ThreadIndex

_SPANS: Final = (
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("this-month", "This month"),
    ("1y", "A year"),
    ("all", "All"),
)
_SINCE: Final = "30d"
_TABLES: Final = (("model",), ("project",), ("thread",))
_TABLES_OF_FLEET: Final = (("model",), ("user",), ("machine",), ("thread",))
"""Projects of many folders take seconds to be told apart: they are there if asked for."""
_ROWS: Final = 15
_MOST_ROWS: Final = 2000
_FILTERS: Final = ("project", "model", "provider", "source", "branch", *OF_FLEET)
"""The dimensions whose keys the list can be filtered by."""


class Choice(NamedTuple):
    """A link to the same page with another choice."""

    text: str
    address: str
    on: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What the address asks for."""

    q: str
    """Filters, as in the search box."""
    since: str
    until: str
    by: str
    compare: bool
    rows: int

    @classmethod
    def of(cls, request: Request) -> "Wish":
        """That of a request; what cannot be understood is as if it were not there."""
        given = request.query_params
        by = given.get("by", "day")
        rows = given.get("rows", "")[:9]
        return cls(
            q=given.get("q", "").strip(),
            since=given.get("since", "").strip() or ("all" if given.get("until") else _SINCE),
            until=given.get("until", "").strip(),
            by=by if by in dimensions_of(site_of(request)) else "day",
            compare=bool(given.get("compare")),
            rows=min(int(rows), _MOST_ROWS) if rows.isascii() and rows.isdecimal() else _ROWS,
        )

    def address(self, **changes: Any) -> str:
        """The address of the page with these changes."""
        usual = {"since": _SINCE, "by": "day", "rows": _ROWS}
        values = {name: getattr(self, name) for name in self.__slots__} | changes
        kept = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in values.items()
            if value and usual.get(name) != value
        }
        return f"/usage?{urlencode(kept)}" if kept else "/usage"

    def asked(self, query: Query, now_s: float) -> tuple[Asked, str]:
        """What to count among the threads of ``query``, and the name of the time zone. Raises
        typer.BadParameter if the times are none."""
        calendar, zone = calendar_of(None)
        since = None if self.since == "all" else self.since
        span, begin, end = span_of(since, self.until or None, calendar, now_s)
        before = None
        if self.compare and begin:
            before = span_before(begin, end, calendar, now_s)
        return Asked((self.by,), calendar, span, query, query.archived, before), zone

    def link(self, dimension: str, key: str, machine: str | None = None) -> str:
        """Where what a key stands for is seen, of a fleet as a ``machine`` has it if one is named;
        nothing if there is no such place."""
        if not key:
            return ""
        if dimension == "thread":
            return thread_url(key, machine=machine)
        if span := _span_of_key(dimension, key):
            since, until = span
            return self.address(since=since, until=until, by="thread", rows=_ROWS)
        if dimension not in _FILTERS:
            return ""
        words = [self.q, f"{dimension}:{quoted(key)}"]
        if self.since != "all":
            words.append(f"since:{self.since}")
        return f"/?{urlencode({'q': ' '.join(filter(None, words))})}"


def _span_of_key(dimension: str, key: str) -> tuple[str, str] | None:
    """The first day of a day, week or month, and the first that comes after it."""
    days = {"day": 1, "week": 7, "month": 32}.get(dimension)
    try:
        begin = date.fromisoformat(key if dimension != "month" else f"{key}-01")
        if days is None:
            return None
        end = begin + timedelta(days=days)
    except (ValueError, OverflowError):  # hours, and years that no calendar has
        return None
    until = end.replace(day=1) if dimension == "month" else end
    return begin.isoformat(), until.isoformat()


def dimensions_of(site: Site) -> tuple[str, ...]:
    """What is counted by."""
    return (*DIMENSIONS, *OF_FLEET) if site.is_fleet else DIMENSIONS


async def usage(request: Request) -> Response:
    """The page."""
    site = site_of(request)
    index = (await site.kept.store()).index
    wish, now_s = Wish.of(request), time.time()
    known = await known_of(index) if wish.q else None
    wants = wanted(wish.q, index.seen(Query()), now_s, known)
    values: dict[str, Any] = {
        "wish": wish,
        "spans": [
            Choice(
                text, wish.address(since=since, until=""), wish.since == since and not wish.until
            )
            for since, text in _SPANS
        ],
        "dimensions": dimensions_of(site),
        "problem": wants.problem,
        "facts": (),
        "numbers": "",
        "empty": False,
    }
    status = HTTPStatus.OK
    try:
        asked, zone = wish.asked(wants.query, now_s)
    except typer.BadParameter as error:
        values["problem"], status = _in_words(error), HTTPStatus.BAD_REQUEST
    else:
        notes = await _notes(index, asked.query)
        tables = _TABLES_OF_FLEET if site.is_fleet else _TABLES
        found = await index.read(lambda: usage_steps(asked, wish.rows, tables), asked.query)
        found.notes = notes
        made = report(found, site.here, zone, "Usage")
        links = Links(
            partial(wish.link, machine=asked.query.machine),
            wish.address(rows=min(wish.rows * 5, _MOST_ROWS)),
        )
        pieces = await asyncio.to_thread(lambda: "".join(numbers(made, wish.rows, links)))
        values |= {
            "facts": made.facts,
            "numbers": Markup(pieces),  # which escapes what it is made of
            "empty": not found.statistics[0].groups,
        }
    return await page(request, "usage.html", status=status, current="usage", **values)


async def _notes(index: ThreadIndex, query: Query) -> list[str]:
    """Why the numbers may be incomplete, besides that files are still being indexed."""
    notes = [await look_up_prices(index, query)]
    if not index.database.is_fleet and await index.database.query(copies_due_steps()):
        notes.append("Some copies of rollouts cannot be compared now: they count only once.")
    return [note for note in notes if note]


def _in_words(error: typer.BadParameter) -> str:
    """What is wrong, in the words of the page."""
    return error.message.replace("\n", ": ").replace("--", "").replace("since: since", "since")


ROUTES: Final[Sequence[Route]] = (Route("/usage", usage),)
