"""A thread, its turns and what is searched for in it."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cli.render.blocks.block import Block
from cli.render.html.block import Served, block_html
from cli.render.labels import other_machines
from cli.turns.heads import Hit, KnownTurns
from cli.web.errors import is_part
from cli.web.site import fragment, page, site_of, thread_url
from cli.web.streams import EventStream
from cli.web.thread import following, heading
from cli.web.thread.finding import first_found, matcher_of, told
from cli.web.thread.opened import OpenThread, OpenThreads
from cli.web.thread.outline import PAGE, Listing, listing
from cli.web.thread.window import Spot, Window, above, block_url, window
from rollout.errors import RolloutError, TurnNotFound
from state.errors import (
    CursorNotInHistory,
    EmptySearch,
    IndexBusy,
    InvalidCursor,
    InvalidQuery,
    StateError,
)
from state.query.rows import Row
from state.turns.cache import Closed

if TYPE_CHECKING:
    from state.fleet.machines import Copy

_PATIENCE_S: Final = 1.0
"""How long a page waits for the turns of a long thread that was never read, in seconds."""
_FIND_S: Final = 0.5
"""How long it waits for the match that it opens at ..."""
_OUTLINE_S: Final = 0.05
"""... for what came of the turns ..."""
_OUTLINE_BEHIND_S: Final = 0.3
"""... and how long the list of turns does, which comes behind it, and is asked for again."""
_MOST_QUERY: Final = 1_000
Result = TypeVar("Result")
Work = Callable[[OpenThread], Awaitable[Result]]


async def thread(request: Request) -> Response:
    """The page of a thread."""
    return await _reading(request, lambda thread: _page(request, thread))


async def _page(request: Request, thread: OpenThread) -> Response:
    source = thread.source
    row = source.row
    url = thread.url
    if request.path_params["id"] != row["id"]:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(url + query, 302)
    found: Window | None = None
    listed: Listing | None = None
    hit: Hit | None = None
    await source.look_up()
    known = await thread.known_within(_PATIENCE_S)
    find = request.query_params.get("find", "")[:_MOST_QUERY]
    if known is not None:
        if find and not known.partial and known.heads:
            hit = await _hit(thread, known, find)
        found = await _window(request, thread, known, hit)
        if len(known.heads) <= PAGE and not known.partial:
            listed = await listing(thread, known, 0, _OUTLINE_S)
    return await page(
        request,
        "thread.html",
        current="threads",
        row=row,
        title=heading.title(row),
        facts=heading.facts(row, known),
        marks=source.marks,
        copy=await _copy(request, row),
        others=other_machines(row),
        machine=source.query.machine,
        kindred=await _kindred(request, thread),
        known=known,
        window=found,
        listing=listed,
        progress=source.progress(),
        url=url,
        find=find,
        hit=hit,
    )


async def _kindred(request: Request, thread: OpenThread) -> heading.Kindred:
    store = await site_of(request).kept.store()
    try:
        return await heading.kindred(store.index, thread.source.row, thread.source.query)
    except StateError:  # the turns can be read all the same
        return heading.Kindred()


async def _copy(request: Request, row: Row) -> "Copy | None":
    """What of a fleet the thread is; None for one of this machine."""
    site = site_of(request)
    if not site.is_fleet:
        return None
    from state.fleet.machines import copy_steps

    store = await site.kept.store()
    return await store.index.database.query(copy_steps(row["id"], row["machine_id"]))


async def _hit(thread: OpenThread, known: KnownTurns, text: str) -> Hit | None:
    """The best match of a search of the list; None if there is none, or finding it takes longer
    than a page waits for."""
    with suppress(EmptySearch, TimeoutError):
        matcher = matcher_of(text, words=True)
        return await asyncio.wait_for(first_found(thread, known, matcher), _FIND_S)
    return None


async def turns(request: Request) -> Response:
    """Some turns, for a page that has others."""

    async def work(thread: OpenThread) -> Response:
        known = await thread.known()
        found = await _window(request, thread, known)
        url = thread.url
        return await fragment(request, "_thread_turns.html", known=known, window=found, url=url)

    return await _reading(request, work)


async def _window(
    request: Request, thread: OpenThread, known: KnownTurns, hit: Hit | None = None
) -> Window:
    """The turns that an address asks for; else those with a match, or the last ones."""
    if not known.heads:
        return Window([], None, None)
    if spot := _spot(request, "from"):
        return await window(thread, known, (spot.place(known), spot.chunk), 1)
    if spot := _spot(request, "before"):
        end = above(known, spot)
        return await window(thread, known, end, -1) if end else Window([], None, spot)
    turn = request.query_params.get("turn")
    if turn is not None and not known.partial:
        return await window(thread, known, (_place_of(known, _number(turn, "turn")), 0), 1)
    if hit is not None:
        return await window(thread, known, (hit.place, hit.chunk), 1)
    return await window(thread, known, (len(known.heads) - 1, -1), -1)


def _spot(request: Request, name: str) -> Spot | None:
    text = request.query_params.get(name)
    return None if text is None else Spot.parsed(text)


def _number(text: str, name: str) -> int:
    """A number that an address has. Raises InvalidCursor for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidCursor(text[:200], f"{name} is not a number")
    return int(text)


def _place_of(known: KnownTurns, number: int) -> int:
    """The place of a turn by its number. Raises TurnNotFound."""
    ids = [head.id for head in known.heads if head.number]
    if not 0 < number <= len(ids):
        last = [(each, "") for each in range(1, len(ids) + 1)][-3:]
        raise TurnNotFound(str(number), ids, last)
    return number - 1


async def outline(request: Request) -> Response:
    """The list of prompts, some at a time."""

    async def work(thread: OpenThread) -> Response:
        number = _number(request.query_params.get("page", "0"), "page")
        known = await thread.known()
        listed = await listing(thread, known, number, _OUTLINE_BEHIND_S)
        url = thread.url
        if is_part(request):
            return await fragment(request, "_thread_outline.html", listing=listed, url=url)
        title = heading.title(thread.source.row)
        return await page(
            request, "thread_outline.html", current="threads", listing=listed, url=url, title=title
        )

    return await _reading(request, work)


async def search(request: Request) -> Response:
    """What is found in a thread: line by line as JSON for a script, else as a page."""
    text = request.query_params.get("q", "")[:_MOST_QUERY]
    matcher = matcher_of(text, words="words" in request.query_params)

    async def work(thread: OpenThread) -> Response:
        parts = told(thread, matcher, _spot(request, "near"))
        if "stream" in request.query_params:
            return StreamingResponse(_lines(parts), media_type="application/x-ndjson")
        places: list[dict[str, Any]] = []
        end: dict[str, Any] = {}
        async with aclosing(parts):
            async for end in parts:
                places += end.get("places", ())
        row = thread.source.row
        return await page(
            request,
            "thread_found.html",
            current="threads",
            title=heading.title(row),
            url=thread.url,
            text=text,
            places=sorted(places, key=lambda each: each["order"]),
            more=end["more"],
        )

    return await _reading(request, work)


async def _lines(parts: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[str]:
    try:
        async with aclosing(parts):
            async for part in parts:
                yield json.dumps(part, ensure_ascii=False) + "\n"
    except Closed:
        yield json.dumps({"error": "The index was opened again: search once more."}) + "\n"
    except (RolloutError, StateError, OSError) as error:
        yield json.dumps({"error": str(error)}) + "\n"


async def block(request: Request) -> Response:
    """All of a block, or one of its pictures."""
    spot = _spot(request, "turn")
    key = request.query_params.get("block", "").split(".")
    if spot is None or len(key) != 2:
        raise InvalidCursor(request.url.query[:200], "it names no part of a thread")
    entry, number = (_number(part, "block") for part in key)

    async def work(thread: OpenThread) -> Response:
        known, source = await thread.known(), thread.source
        head = known.heads[spot.place(known)]
        picture = request.query_params.get("picture")
        async with thread.limit:
            found = await source.block(head, (entry, number), images=picture is not None)
        if found is None:
            raise CursorNotInHistory(str(spot)[:200], "the turn has no such part now")
        if picture is not None:
            at = _number(picture, "picture")
            return await source.run(lambda: _picture(found, at, spot))
        url = block_url(thread.url, head, (entry, number))
        html = await source.run(lambda: _whole(found, url))
        if is_part(request):
            return await fragment(request, "_thread_block.html", html=html)
        return await page(
            request,
            "thread_block.html",
            current="threads",
            title=heading.title(source.row),
            url=thread_url(source.row["id"], head.number or None, source.query.machine),
            html=html,
        )

    return await _reading(request, work)


def _whole(found: Block, url: str) -> Markup:
    return Markup("".join(block_html(found, Served(url, whole=True))))


def _picture(found: Block, at: int, spot: Spot) -> Response:
    url = found.pictures[at].url if at < len(found.pictures) else ""
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    content = b""
    with suppress(binascii.Error):  # it may be cut off
        content = base64.b64decode(data)
    if not content:
        raise CursorNotInHistory(str(spot)[:200], "it has no such picture now")
    return Response(content, media_type=kind)


async def events(request: Request) -> Response:
    """What happens to a thread, as long as its page is open."""

    async def work(thread: OpenThread) -> Response:
        return EventStream(request, following.events(thread, _spot(request, "seen")))

    return await _reading(request, work)


async def _reading(request: Request, work: Work[Result]) -> Result:
    """What ``work`` makes of the thread that a request is for; once more if the index was opened
    again meanwhile."""
    site, state = site_of(request), request.app.state
    if not hasattr(state, "open_threads"):
        state.open_threads = OpenThreads()
    opened: OpenThreads = state.open_threads
    for _ in range(2):
        store = await site.kept.store()
        with suppress(Closed):
            return await work(await opened.open(store, **_wanted(request)))
    raise IndexBusy(site.here.index, _PATIENCE_S)


def _wanted(request: Request) -> dict[str, Any]:
    """The thread that an address names, and the machine. Raises InvalidQuery if there are none."""
    named = request.path_params
    if "machine" in named and not site_of(request).is_fleet:
        raise InvalidQuery("only a fleet has machines")
    return {"reference": named["id"], "machine": named.get("machine")}


ROUTES: Final[Sequence[Route]] = tuple(
    Route(f"{whose}/thread/{{id}}{part}", answer)
    for whose in ("", "/machine/{machine:path}")
    for part, answer in (
        ("/turns", turns),
        ("/outline", outline),
        ("/search", search),
        ("/block", block),
        ("/events", events),
        ("", thread),
    )
)
