"""The list of threads: the page, the parts of it that a script asks for, and completion."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.filter.language import NAMES, completed, completions, end_of_completed, parse
from cli.filter.wanted import Wanted, wanted
from cli.terminal.hidden import no_threads
from cli.web.listing.address import LONGEST, SORTS, USUAL_SORT, Address
from cli.web.listing.catalog import EVERY, Catalog
from cli.web.listing.find import Found, Part, count_of_list, find
from cli.web.listing.rows import Look, Shown, shown
from cli.web.listing.sides import sides
from cli.web.listing.summary import Summary, summary
from cli.web.site import Site, fragment, page, site_of
from cli.web.streams import Event, EventStream
from rollout.files.text import printed
from state.db.steps import Steps
from state.query.listing import any_steps
from state.query.marks import Marks, marks_steps
from state.query.projects import Projects
from state.thread_index import ThreadIndex
from state.userdata.folders import cwd_key

_PAUSE_S: Final = 1.0
"""Between two events: threads that are being written change many times a second."""


async def threads(request: Request) -> Response:
    """The page, from a cursor on, if it has one."""
    return await page(request, "threads.html", current="threads", **await _values(request))


async def part(request: Request) -> Response:
    """What a script puts into the page: all of the list, what comes behind a cursor, or the row of
    ``only`` one thread, wherever it is in the list."""
    values = await _values(request)
    part = values["cursor"] or "only" in request.query_params
    template = "_rows.html" if part else "_found.html"
    return await fragment(request, template, **values)


async def _values(request: Request) -> dict[str, Any]:
    site, address = site_of(request), _address(request)
    index = (await site.kept.store()).index
    catalog = catalog_of(request)
    known, counts = await catalog.of(index)
    cursor = request.query_params.get("cursor", "")
    query = replace(EVERY, sort_key=f"{address.sort}_at")
    asked = wanted(address.text, query, time.time(), known)
    values: dict[str, Any] = {"address": address, "cursor": cursor, "sorts": SORTS}
    values["q"], values["summary"] = address.text, None
    values["find"] = parse(address.text, time.time()).words
    values["file"] = asked.file
    if only := request.query_params.get("only"):
        found = Part([Found(row) for row in (await index.rows_of([only], asked.query)).values()])
    elif cursor:
        found = await find(index, asked, cursor)
    else:
        found, values["summary"] = await _begun(site, index, address, asked)
    values["rows"] = await _rows(index, found, address, asked, counts.names)
    values["sides"] = sides(known, counts, address)
    values["next"] = found.cursor
    return values


async def _begun(
    site: Site, index: ThreadIndex, address: Address, asked: Wanted
) -> tuple[Part, Summary]:
    """The first part of a list, and what is said of it."""
    found, counted = await asyncio.gather(find(index, asked), index.count(asked.query))
    left_out = await count_of_list(index, asked.query, found.left_out) if found.left_out else 0
    empty = ""
    if not found.found and not await index.database.query(any_steps()):
        complete = not await site.kept.incomplete()
        empty = no_threads(
            site.here.home,
            empty=True,
            complete=complete,
            fleet=site.is_fleet,
            machine=site.here.machine,
        )
    said = summary(found, counted, address, asked, left_out=left_out, empty_home=empty)
    return found, said


async def _rows(
    index: ThreadIndex, found: Part, address: Address, asked: Wanted, names: Projects
) -> list[Shown]:
    ids = [each.row["id"] for each in found.found]
    cwds = {each.row["cwd"] for each in found.found}

    def steps() -> Steps[tuple[dict[str, Marks], dict[str, str]]]:
        marks = yield from marks_steps(ids)
        return marks, {cwd: names.name(cwd_key(cwd)) for cwd in cwds}  # which may ask the disk

    marks, projects = await index.read(steps, asked.query)
    now_ms = time.time_ns() // 1_000_000
    words = asked.words, asked.terms, asked.file
    look = Look(address, *words, projects, marks, now_ms, asked.query.machine)
    # Not here: messages in which words are looked for may be long.
    return await index.database.workers.run(lambda: [shown(each, look) for each in found.found])


async def complete(request: Request) -> Response:
    """How the filter may go on that is typed at ``at``, with the whole text that it gives."""
    text = request.query_params.get("q", "")[:LONGEST]
    given = request.query_params.get("at", "")[:9]
    at = min(int(given), len(text)) if given.isascii() and given.isdecimal() else len(text)
    index = (await site_of(request).kept.store()).index
    known, _ = await catalog_of(request).of(index)
    found = [_completion(text, at, token) for token in completions(text, at, known)]
    return JSONResponse({"completions": found})


def _completion(text: str, at: int, token: str) -> dict[str, Any]:
    name, _, value = token.lstrip("-").partition(":")
    whole, end = completed(text, at, token), end_of_completed(text, at, token)
    if value and end == len(whole):
        whole, end = f"{whole} ", end + 1  # the next word can follow
    return {"token": token, "help": "" if value else NAMES[name].help, "text": whole, "at": end}


async def events(request: Request) -> Response:
    """Says that threads have changed, once for many changes."""
    kept = site_of(request).kept

    async def changed() -> AsyncGenerator[Event]:
        async for _ in kept.changes(None):
            yield "changed", None
            await asyncio.sleep(_PAUSE_S)

    return EventStream(request, changed())


def catalog_of(request: Request) -> Catalog:
    """What filters can choose on this site."""
    state = request.app.state
    if not hasattr(state, "catalog"):
        state.catalog = Catalog()
    catalog: Catalog = state.catalog
    return catalog


def _address(request: Request) -> Address:
    given = request.query_params
    sort = given.get("sort", USUAL_SORT)
    return Address(printed(given.get("q", "")[:LONGEST]), sort if sort in SORTS else USUAL_SORT)


ROUTES: Final[Sequence[Route]] = (
    Route("/", threads),
    Route("/threads", part),
    Route("/threads/events", events),
    Route("/complete", complete),
)
