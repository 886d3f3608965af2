"""``thread/realtime/list``: the events of the voice sessions of a thread."""

import json
from functools import partial
from typing import Any, Final

from cli.server.methods.call import Call
from cli.server.protocol import params as p
from cli.server.protocol.messages import invalid_request
from rollout.files.layout import parse_uuid
from rollout.items.realtime import Event, Sessions, read_sessions
from rollout.schema.modes import PAGINATED
from rollout.schema.strict import Fields
from state.errors import FileUnusable, ThreadNotFound

_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 500
_AS_ASKED: Final[Fields] = {"cursor": None, "page_size": 0, "snapshot_end": None}
"""Fields of a cursor's query that Codex leaves empty."""


async def realtime_list(call: Call, params: p.ThreadRealtimeListParams) -> Fields:
    """A page of events of a paginated thread with a file; other threads are "unsupported"."""
    store, thread_id = await call.thread_of(params.thread_id)
    limit = _DEFAULT_PAGE if params.limit is None else params.limit
    if not 1 <= limit <= _LARGEST_PAGE:
        raise invalid_request(f"realtime page size must be between 1 and {_LARGEST_PAGE}")
    start, end = params.from_observed_at_ms, params.to_observed_at_ms
    if start is not None and end is not None and start >= end:
        raise invalid_request("realtime observation time range must be nonempty")
    try:
        row = await store.read_thread(thread_id)
    except ThreadNotFound:
        return _answer([], "unsupported")
    if row["history_mode"] != PAGINATED:
        return _answer([], "unsupported")
    store, row = await store.holding(row)
    path = store.home / row["rollout_path"]
    try:
        sessions = await store.index.database.workers.run(partial(read_sessions, path))
    except OSError as error:
        raise FileUnusable(path, str(error)) from error
    return _page(sessions, params, thread_id, limit)


def _page(
    sessions: Sessions, params: p.ThreadRealtimeListParams, thread_id: str, limit: int
) -> Fields:
    query = _query(params, thread_id)
    end, after = params.snapshot_end, None
    if params.cursor is not None:
        cursor = _decoded(params.cursor)
        if cursor["query"] != query:
            raise invalid_request("realtime cursor does not match this query", "invalid_cursor")
        end, after = cursor["snapshot_end"], (cursor["observed_at_ms"], cursor["position"])
    end = sessions.end if end is None else end
    known = {event.item["id"] for event in sessions.events}
    required = params.required_through_position
    if (
        end > sessions.end
        or (required is not None and required >= sessions.end)
        or (params.event_id is not None and params.event_id not in known)
    ):
        return _answer([], "pending", end, sessions.end)

    def key(event: Event) -> tuple[int, int]:
        first = event.position if params.order == "position" else _time(event)
        return first, event.position

    found = sorted((each for each in sessions.events if _fits(each, params, end)), key=key)
    if after is not None:
        at = (after[1] if params.order == "position" else after[0], after[1])
        found = [event for event in found if key(event) > at]
    page, more = found[:limit], len(found) > limit
    following = None
    if more:
        ids: Fields = {"version": 1, "rollout_id": thread_id, "query": query, "snapshot_end": end}
        last = {"observed_at_ms": _time(page[-1]), "position": page[-1].position}
        following = json.dumps(ids | last, separators=(",", ":"), ensure_ascii=False)
    return _answer(page, "ready", end, sessions.end, following)


def _time(event: Event) -> int:
    assert event.observed_at_ms is not None
    return event.observed_at_ms


def _fits(event: Event, params: p.ThreadRealtimeListParams, end: int) -> bool:
    at = event.observed_at_ms
    if at is None or event.position >= end:
        return False
    return (
        params.session_id in (None, event.item["realtimeSessionId"])
        and params.event_id in (None, event.item["id"])
        and (params.from_observed_at_ms is None or at >= params.from_observed_at_ms)
        and (params.to_observed_at_ms is None or at < params.to_observed_at_ms)
        and (params.after_position is None or event.position > params.after_position)
    )


def _query(params: p.ThreadRealtimeListParams, thread_id: str) -> Fields:
    """The query as Codex writes it into a cursor."""
    return {
        "thread_id": thread_id,
        "session_id": params.session_id,
        "from_observed_at_ms": params.from_observed_at_ms,
        "to_observed_at_ms": params.to_observed_at_ms,
        "order": params.order or "observedAt",
        "after_position": params.after_position,
        "event_id": params.event_id,
        **_AS_ASKED,
        "required_through_position": params.required_through_position,
    }


def _decoded(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    match fields:
        case {
            "version": 1,
            "rollout_id": str(rollout_id),
            "query": dict(),
            "snapshot_end": int(),
            "observed_at_ms": int(),
            "position": int(),
        } if parse_uuid(rollout_id):
            found: dict[str, Any] = fields
            return found
    raise invalid_request("invalid realtime cursor", "invalid_cursor")


def _answer(
    page: list[Event], coverage: str, end: int = 0, through: int = 0, following: str | None = None
) -> Fields:
    return {
        "data": [{"position": event.position, "item": event.item} for event in page],
        "nextCursor": following,
        "snapshotEnd": end,
        "projectedThroughItemIndex": through,
        "coverage": coverage,
    }
