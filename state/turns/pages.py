"""Pages of turns and items, in Codex's order and with its cursors
(docs/rollout-format.md#turns-and-items-in-answers).

A cursor of a paginated thread is an ordinal, whether a line has it or not; that of a legacy thread
names a turn. Both are JSON text.
"""

import heapq
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, Final, Generic, TypeVar

from rollout.items.thread_item import UNKNOWN
from rollout.schema.modes import PAGINATED
from rollout.turns.item_refs import ItemRef, key_of
from rollout.turns.turn import Turn
from state.errors import CursorNotInHistory, InvalidCursor, ItemNotFound
from state.turns.checkpoint import TurnState

DEFAULT_LIMIT: Final = 25
MOST: Final = 100
_TURNS: Final = "turns"
_ITEMS: Final = "itemsByCreatedAtOrdinal"
_MALFORMED: Final = "it is none of this list"
_OUTSIDE: Final = "position outside thread lineage"
_ANCHOR_GONE: Final = "anchor turn is no longer present"
Entry = TypeVar("Entry")


class TooShort(Exception):
    """The turns asked for are not among the last ones, and only those are known."""


@dataclass(frozen=True, slots=True)
class PageOf(Generic[Entry]):
    """Some of a list, and where it continues."""

    entries: list[Entry]
    next_cursor: str | None = None
    backwards_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page is wanted."""

    thread_id: str
    cursor: str | None = None
    limit: int = DEFAULT_LIMIT
    descending: bool = True

    @property
    def count(self) -> int:
        return min(max(self.limit, 1), MOST)


def page_of_turns(state: TurnState, query: PageQuery) -> PageOf[Turn]:
    """A page of a thread's turns. Raises InvalidCursor if the cursor is none of this thread's
    turns, and TooShort if the state does not reach so far."""
    turns = state.turns
    if state.outline.mode != PAGINATED:
        if state.partial and not query.descending:
            raise TooShort
        try:
            start, stop = _legacy_range(turns, query)
        except CursorNotInHistory:
            if state.partial:
                raise TooShort from None
            raise
    else:
        start, stop = _ordinal_range(state, query)
    wanted = query.count
    if query.descending:
        if state.partial and stop - start <= wanted:
            raise TooShort
        found = turns[max(stop - wanted, start) : stop][::-1]
    else:
        found = turns[start : min(start + wanted, stop)]
    if not found:
        return PageOf([])
    further = _turn_cursor(state, query.thread_id, found[-1], False)
    back = _turn_cursor(state, query.thread_id, found[0], True)
    return PageOf(found, further if stop - start > wanted else None, back)


def _legacy_range(turns: list[Turn], query: PageQuery) -> tuple[int, int]:
    if query.cursor is None:
        return 0, len(turns)
    turn_id, anchor = _parsed_legacy(query.cursor)
    at = next((at for at, turn in enumerate(turns) if turn.id == turn_id), None)
    if at is None:
        raise CursorNotInHistory(query.cursor, _ANCHOR_GONE)
    if query.descending:
        return 0, at + anchor
    return at + (not anchor), len(turns)


def _parsed_legacy(text: str) -> tuple[str, bool]:
    match _json(text):
        case {"turnId": str(turn_id), "includeAnchor": bool(anchor)} | [str(turn_id), bool(anchor)]:
            return turn_id, anchor
    raise InvalidCursor(text, _MALFORMED)


def _ordinal_range(state: TurnState, query: PageQuery) -> tuple[int, int]:
    turns = state.turns
    if query.cursor is None:
        if state.partial and not query.descending:
            raise TooShort
        return 0, len(turns)
    place, anchor = _parsed(query, _TURNS)
    if state.partial and (not turns or place < turns[0].start.ordinal):
        raise TooShort
    _check_lineage(state, query, place)
    # From the cursor on in the list's direction, itself included if it says so.
    find = bisect_right if query.descending == anchor else bisect_left
    at = find(turns, place, key=attrgetter("start.ordinal"))
    return (0, at) if query.descending else (at, len(turns))


def _check_lineage(state: TurnState, query: PageQuery, place: int) -> None:
    """The first line of each file is no place in the history."""
    parts = state.outline.parts
    if place in [0, *(part.end_ordinal for part in parts)]:
        raise CursorNotInHistory(query.cursor or "", _OUTSIDE)


def _parsed(query: PageQuery, kind: str) -> tuple[int, bool]:
    text = query.cursor or ""
    match _json(text):
        case {
            "requestedThreadId": query.thread_id,
            "rolloutOrdinal": int(place),
            "includeAnchor": bool(anchor),
            "scope": {"kind": scope},
        } if scope == kind and not isinstance(place, bool) and place >= 0:
            return place, anchor
    raise InvalidCursor(text, _MALFORMED)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _turn_cursor(state: TurnState, thread_id: str, turn: Turn, anchor: bool) -> str:
    if state.outline.mode != PAGINATED:
        return _compact({"turnId": turn.id, "includeAnchor": anchor})
    return _cursor(thread_id, turn.start.ordinal, _TURNS, anchor)


def _cursor(thread_id: str, ordinal: int, kind: str, anchor: bool) -> str:
    return _compact(
        {
            "requestedThreadId": thread_id,
            "rolloutOrdinal": ordinal,
            "includeAnchor": anchor,
            "scope": {"kind": kind},
        }
    )


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


ItemAt = tuple[Turn, ItemRef]


@dataclass(frozen=True, slots=True)
class ItemQuery(PageQuery):
    """Which page of items is wanted."""

    turn_id: str | None = None
    item_id: str | None = None
    """Begin behind this item of the turn, in the list's direction; instead of a cursor."""
    descending: bool = False


def page_of_items(state: TurnState, query: ItemQuery) -> PageOf[ItemAt]:
    """A page of a paginated thread's items, or of one turn's. Raises InvalidCursor if the cursor is
    none of this thread's items, and TooShort if the state does not reach so far."""
    if state.partial:
        raise TooShort
    spans = state.spans()
    if query.turn_id is not None:
        spans = [span for span in spans if span[2].id == query.turn_id]
    sign = -1 if query.descending else 1
    start: int | None = None
    if query.item_id is not None:
        turn = spans[0][2] if spans else None
        record = -1 if turn is None else turn.items.find(key_of(query.item_id))
        if turn is None or record < 0:
            raise ItemNotFound(query.turn_id or "", query.item_id)
        start = turn.items.ordinals()[record] + sign
    elif query.cursor is not None:
        place, anchor = _parsed(query, _ITEMS)
        _check_lineage(state, query, place)
        start = place if anchor else place + sign
    found = []
    for entry in _in_order(spans, sign, start):
        found.append(entry)
        if len(found) > query.count:
            break
    if not found:
        return PageOf([])
    shown = found[: query.count]
    last, first = shown[-1][1].ordinal, shown[0][1].ordinal
    further = _cursor(query.thread_id, last, _ITEMS, False) if len(found) > len(shown) else None
    return PageOf(shown, further, _cursor(query.thread_id, first, _ITEMS, True))


def _in_order(spans: list[tuple[int, int, Turn]], sign: int, start: int | None) -> Iterator[ItemAt]:
    """The items that Codex knows, from the ordinal ``start`` on, upwards or (-1) downwards. A turn
    is looked into when its first item is near: turns are many, and hardly ever overlap."""
    if sign > 0:
        ahead = ((first, turn) for first, last, turn in spans if start is None or last >= start)
    else:
        spans = sorted(spans, key=itemgetter(1), reverse=True)
        ahead = ((-last, turn) for first, last, turn in spans if start is None or first <= start)
    waiting = next(ahead, None)
    open_: list[tuple[int, str, int, Turn, Iterator[tuple[int, int]]]] = []
    while open_ or waiting:
        while waiting and (not open_ or waiting[0] <= open_[0][0]):
            turn = waiting[1]
            _push(open_, turn.id, turn, _records(turn, sign, start))
            waiting = next(ahead, None)
        if not open_:
            continue
        _, turn_id, record, turn, rest = heapq.heappop(open_)
        kind = turn.items.kind_at(record)
        if kind is not None and kind != UNKNOWN:
            yield turn, turn.items.at(record)
        _push(open_, turn_id, turn, rest)


def _push(
    open_: list[tuple[int, str, int, Turn, Iterator[tuple[int, int]]]],
    turn_id: str,
    turn: Turn,
    records: Iterator[tuple[int, int]],
) -> None:
    entry = next(records, None)
    if entry is not None:
        heapq.heappush(open_, (entry[0], turn_id, entry[1], turn, records))


def _records(turn: Turn, sign: int, start: int | None) -> Iterator[tuple[int, int]]:
    ordinals = turn.items.ordinals()
    if sign > 0:
        at = 0 if start is None else bisect_left(ordinals, start)
        return ((ordinals[record], record) for record in range(at, len(ordinals)))
    at = len(ordinals) if start is None else bisect_right(ordinals, start)
    return ((-ordinals[record], record) for record in range(at - 1, -1, -1))


def items_of(state: TurnState, turn_id: str, item_ids: Sequence[str]) -> list[ItemAt]:
    """Some items of a paginated thread's turn, in its order; those that are not there are left out.
    Raises TooShort if the state does not reach so far."""
    turn = next((turn for _, _, turn in state.spans() if turn.id == turn_id), None)
    if turn is None:
        if state.partial:
            raise TooShort
        return []
    found = {turn.items.find(key_of(item_id)) for item_id in item_ids} - {-1}
    return [(turn, turn.items.at(record)) for record in sorted(found)]


def turn_end_cursor(state: TurnState, thread_id: str) -> str | None:
    """A cursor at the last turn of a paginated thread, for what comes before it."""
    if state.outline.mode != PAGINATED or not state.turns:
        return None
    return _turn_cursor(state, thread_id, state.turns[-1], True)


def item_end_cursor(state: TurnState, thread_id: str) -> str | None:
    """A cursor at the last item of a paginated thread, for what comes before it."""
    if state.outline.mode != PAGINATED:
        return None
    if state.partial:
        if state.tail_item is None:
            raise TooShort
        return _cursor(thread_id, state.tail_item.ordinal, _ITEMS, True)
    for _, anchor in _in_order(state.spans(), -1, None):
        return _cursor(thread_id, anchor.ordinal, _ITEMS, True)
    return None
