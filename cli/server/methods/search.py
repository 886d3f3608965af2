"""``thread/search``, its stream and their cancelling, and ``thread/searchOccurrences``."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from cli.server.methods.call import Call
from cli.server.protocol import params as p
from cli.server.protocol.messages import INVALID_PARAMS, UNSUPPORTED, RpcError, invalid_request
from rollout.errors import HistoryUnknown
from rollout.items.thread_item import UNKNOWN
from rollout.schema.modes import PAGINATED
from rollout.search.messages import history_messages, item_text
from rollout.search.normalize import without_escapes
from rollout.search.snippet import excerpt, snippet
from rollout.search.terms import Matcher, Term
from state.errors import InvalidCursor, ThreadNotFound
from state.fulltext.search import Search, search
from state.query.model import Query
from state.turns.answers import TurnAnswers
from state.turns.pages import TooShort

_OCCURRENCES = 50
_MOST_OCCURRENCES = 1000
_LONGEST_TERM: Final = 65_536
_GROWTH: Final = 4
"""How many times longer each piece of a streamed page is than the one before."""


def _term(call: Call, text: str) -> Term:
    term = Term.of(text)
    if term is None:
        method = call.method.removesuffix("/stream")
        raise invalid_request(f"{method} requires a non-empty searchTerm")
    return term


def _search_of(call: Call, params: p.ThreadSearchParams) -> Search:
    term = _term(call, params.search_term)
    threads = Query(
        sort_key=params.sort_key or "created_at",
        descending=params.sort_direction != "asc",
        limit=25 if params.limit is None else params.limit,
        cursor=params.cursor,
        archived=bool(params.archived),
        source_kinds=tuple(params.source_kinds or ()),
        attached=params.include_attached_threads,
    )
    query = Search((term,), threads)
    query.decoded_cursor()  # refuses a bad one
    return query


async def thread_search(call: Call, params: p.ThreadSearchParams) -> dict[str, Any]:
    query = _search_of(call, params)
    return await _cancellable(call, _searched(call, query))


async def thread_search_stream(call: Call, params: p.ThreadSearchParams) -> dict[str, Any]:
    """As ``thread/search``, with notifications of the threads found before the answer."""
    if len(params.search_term.encode("utf-8", "replace")) > _LONGEST_TERM:
        text = f"{call.method} searchTerm exceeds {_LONGEST_TERM} UTF-8 bytes"
        raise RpcError(INVALID_PARAMS, text, "invalid_params")
    try:
        query = _search_of(call, params)
    except InvalidCursor as error:
        raise RpcError(
            INVALID_PARAMS, f"invalid cursor: {error.cursor}", "invalid_cursor"
        ) from None

    def partial(data: list[dict[str, Any]]) -> None:
        call.client.notify("thread/search/partial", {"requestId": call.request_id, "data": data})

    return await _cancellable(call, _streamed(call, query, partial))


async def _streamed(
    call: Call, query: Search, partial: Callable[[list[dict[str, Any]]], None]
) -> dict[str, Any]:
    """Search for the page in pieces, small ones first, so that the first threads come soon."""
    left, piece, cursor = query.among.limit, 1, query.among.cursor
    whole: dict[str, Any] = {}
    while left and (not whole or cursor is not None):
        threads = replace(query.among, limit=min(piece, left), cursor=cursor)
        found = await _searched(call, replace(query, among=threads))
        left, piece = left - len(found["data"]), piece * _GROWTH
        cursor = found["nextCursor"]
        if not whole:
            whole = found
        else:
            whole["data"] += found["data"]
            whole["complete"] = whole["complete"] and found["complete"]
        whole["nextCursor"] = cursor
        if left and cursor is not None:
            partial(found["data"])
    return whole


async def _searched(call: Call, query: Search) -> dict[str, Any]:
    store = await call.store()
    supervisor = await call.service.supervisor()
    found = await search(store.index, query)
    matcher = Matcher(query.terms)
    data = []
    for hit in found.hits:
        text = hit.messages[0].text if hit.messages else hit.header[0]
        thread = call.thread_json(store, hit.row)
        data.append({"thread": thread, "snippet": snippet(text, matcher).text})
    return {
        "data": data,
        "nextCursor": found.next_cursor,
        "backwardsCursor": found.backwards_cursor,
        "complete": supervisor.complete and not found.pending,
    }


async def _cancellable(call: Call, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Wait for a search that its client can cancel."""
    searches, key = call.client.searches, (call.method, call.request_id)
    task = searches[key] = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    finally:  # the caller may be cancelled, too: let the search close what it has open
        if searches.get(key) is task:
            del searches[key]
        task.cancel()
        await asyncio.wait([task])
    if task.cancelled():
        raise invalid_request("thread search cancelled", "cancelled")
    return task.result()


async def cancel_search(call: Call, params: p.ThreadSearchCancelParams) -> dict[str, Any]:
    """Cancel a search of this client. One that is unknown or has ended is ignored."""
    task = call.client.searches.get((call.method.removesuffix("/cancel"), params.request_id))
    if task is not None:
        task.cancel()
    return {}


async def search_occurrences(call: Call, params: p.ThreadSearchOccurrencesParams) -> dict[str, Any]:
    thread_id = call.id(params.thread_id)
    term = _term(call, params.search_term)
    start = _start(params, thread_id)
    store = await call.store()
    unsupported = RpcError(UNSUPPORTED, f"{call.method} is not supported yet", "unsupported_method")
    try:
        row = await store.read_thread(thread_id)
    except ThreadNotFound:
        raise unsupported from None  # as Codex says it
    if row["history_mode"] != PAGINATED:
        raise unsupported
    limit = _OCCURRENCES if params.limit is None else params.limit
    limit = min(max(limit, 1), _MOST_OCCURRENCES)
    matcher = Matcher([term])
    try:
        data, following = await store.with_turns(
            thread_id, lambda answers: _occurrences(answers, matcher, thread_id, start, limit)
        )
    except HistoryUnknown:
        return {"data": [], "nextCursor": None}
    cursor = None
    if following is not None:
        ordinal, index = following
        fields = {"threadId": thread_id, "searchTerm": params.search_term}
        position = {"nextRolloutOrdinal": ordinal, "nextOccurrenceIndex": index}
        cursor = _compact(fields | position)
    return {"data": data, "nextCursor": cursor}


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _start(params: p.ThreadSearchOccurrencesParams, thread_id: str) -> tuple[int, int]:
    """The message and the occurrence at which the cursor's page begins."""
    if params.cursor is None:
        return -1, 0
    try:
        fields = json.loads(params.cursor)
    except (ValueError, RecursionError):
        fields = None
    match fields:
        case {
            "threadId": str(given),
            "searchTerm": params.search_term,
            "nextRolloutOrdinal": int(ordinal),
            "nextOccurrenceIndex": int(index),
        } if given == thread_id:
            return ordinal, index
    raise invalid_request(f"invalid cursor: {params.cursor}", "invalid_cursor")


def _occurrences(
    answers: TurnAnswers, matcher: Matcher, thread_id: str, start: tuple[int, int], limit: int
) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
    """A page of the occurrences in a thread, and where the next page begins."""
    if answers.state.partial:
        raise TooShort  # they are counted from the beginning of the thread
    found: list[dict[str, Any]] = []
    first, skipped = start
    for turn, anchor, item in history_messages(answers.state.history):
        if anchor.ordinal < first or anchor.kind == UNKNOWN:
            continue  # other methods do not show unknown items
        text = " ".join(without_escapes(item_text(item)).split())
        for index, span in enumerate(matcher.spans(text)):
            if anchor.ordinal == first and index < skipped:
                continue
            if len(found) == limit:
                return found, (anchor.ordinal, index)
            shown = excerpt(text, span, [span])
            begin, end = shown.spans[0]
            turn_cursor = {
                "requestedThreadId": thread_id,
                "rolloutOrdinal": turn.start.ordinal,
                "includeAnchor": True,
                "scope": {"kind": "turns"},
            }
            found.append(
                {
                    "turnId": turn.id,
                    "itemId": item["id"],
                    "snippet": shown.text,
                    "snippetMatchRange": {
                        "start": _units(shown.text[:begin]),
                        "end": _units(shown.text[:end]),
                    },
                    "turnCursor": _compact(turn_cursor),
                }
            )
    return found, None


def _units(text: str) -> int:
    """The length in UTF-16, as the protocol counts."""
    return len(text.encode("utf-16-le")) // 2
