"""Methods that look for what was said: ``thread/search``, ``thread/searchOccurrences``."""

import json
from typing import Any, Literal

from cli.server import params as p
from cli.server.call import Call
from cli.server.messages import UNSUPPORTED, Fault, invalid_request
from rollout.errors import HistoryUnknown
from rollout.letters import Matcher, Term, plain
from rollout.persistence import PAGINATED
from rollout.snippets import cut, snippet
from rollout.spoken import history_messages, said_in
from rollout.wire import UNKNOWN
from state.errors import ThreadNotFound
from state.listing import Query
from state.search import Search
from state.searching import search
from state.turn_answers import Told
from state.turn_pages import TooShort

_OCCURRENCES = 50
_MOST_OCCURRENCES = 1000


class ThreadSearch(p.Params):
    """``thread/search``."""

    search_term: str
    cursor: str | None = None
    limit: p.U32 | None = None
    sort_key: Literal["created_at", "updated_at", "recency_at"] | None = None
    sort_direction: Literal["asc", "desc"] | None = None
    source_kinds: list[p.SourceKind] | None = None
    archived: bool | None = None
    include_attached_threads: bool = False
    current_account_only: bool = False


class SearchOccurrences(p.OneThread):
    """``thread/searchOccurrences``."""

    search_term: str
    cursor: str | None = None
    limit: p.U32 | None = None


def _term(call: Call, text: str) -> Term:
    term = Term.of(text)
    if term is None:
        raise invalid_request(f"{call.method} requires a non-empty searchTerm")
    return term


async def thread_search(call: Call, params: ThreadSearch) -> dict[str, Any]:
    term = _term(call, params.search_term)
    among = Query(
        sort_key=params.sort_key or "created_at",
        descending=params.sort_direction != "asc",
        limit=25 if params.limit is None else params.limit,
        cursor=params.cursor,
        archived=bool(params.archived),
        source_kinds=tuple(params.source_kinds or ()),
        attached=params.include_attached_threads,
    )
    wanted = Search((term,), among)
    wanted.place()
    store = await call.store()
    keeper = await call.session.service.keeper()
    found = await search(store.index, wanted)
    matcher = Matcher(wanted.terms)
    data = []
    for hit in found.hits:
        text = hit.messages[0].text if hit.messages else hit.head[0]
        thread = call.shown(store, hit.row)
        data.append({"thread": thread, "snippet": snippet(text, matcher).text})
    return {
        "data": data,
        "nextCursor": found.next_cursor,
        "backwardsCursor": found.backwards_cursor,
        "complete": keeper.complete and not found.pending,
    }


async def search_occurrences(call: Call, params: SearchOccurrences) -> dict[str, Any]:
    thread_id = call.id(params.thread_id)
    term = _term(call, params.search_term)
    start = _start(params, thread_id)
    store = await call.store()
    unsupported = Fault(UNSUPPORTED, f"{call.method} is not supported yet", "unsupported_method")
    try:
        row = await store.read_thread(thread_id)
    except ThreadNotFound:
        raise unsupported from None  # as Codex says it
    if row["history_mode"] != PAGINATED:
        raise unsupported
    limit = _OCCURRENCES if params.limit is None else params.limit
    limit = min(max(limit, 1), _MOST_OCCURRENCES)
    look = _Occurrences(thread_id, term, start, limit)
    try:
        data, following = await store.with_turns(thread_id, look.within)
    except HistoryUnknown:
        return {"data": [], "nextCursor": None}
    cursor = None
    if following is not None:
        fields = {"threadId": thread_id, "searchTerm": params.search_term}
        places = {"nextRolloutOrdinal": following[0], "nextOccurrenceIndex": following[1]}
        cursor = _compact(fields | places)
    return {"data": data, "nextCursor": cursor}


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _start(params: SearchOccurrences, thread_id: str) -> tuple[int, int]:
    """The message and occurrence that the cursor goes on with."""
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


class _Occurrences:
    """A page of occurrences in one thread."""

    def __init__(self, thread_id: str, term: Term, start: tuple[int, int], limit: int) -> None:
        self._thread_id = thread_id
        self._matcher = Matcher([term])
        self._start = start
        self._limit = limit

    def within(self, told: Told) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
        """The occurrences, and where the next page begins."""
        if told.folded.partial:
            raise TooShort  # they are given from the thread's beginning
        found: list[dict[str, Any]] = []
        history = told.folded.history
        first, skipped = self._start
        for turn, anchor, item in history_messages(history):
            if anchor.ordinal < first or anchor.kind == UNKNOWN:
                continue  # of which no other answer tells
            flat = " ".join(plain(said_in(item)).split())
            for index, span in enumerate(self._matcher.spans(flat)):
                if anchor.ordinal == first and index < skipped:
                    continue
                if len(found) == self._limit:
                    return found, (anchor.ordinal, index)
                shown = cut(flat, span, [span])
                start, end = shown.spans[0]
                turn_cursor = {
                    "requestedThreadId": self._thread_id,
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
                            "start": _units(shown.text[:start]),
                            "end": _units(shown.text[:end]),
                        },
                        "turnCursor": _compact(turn_cursor),
                    }
                )
        return found, None


def _units(text: str) -> int:
    """The length in UTF-16, as the protocol counts."""
    return len(text.encode("utf-16-le")) // 2
