"""Methods that return the turns and items of threads."""

from typing import Any

from cli.server.methods.call import Call
from cli.server.protocol import params as p
from cli.server.protocol.messages import INVALID_PARAMS, UNSUPPORTED, RpcError, invalid_request
from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields
from state.thread_store import ThreadStore
from state.turns.answers import DEFAULT_VIEW, Deferred
from state.turns.pages import DEFAULT_LIMIT, ItemQuery, PageQuery

_MOST_IDS = 100


async def turns_list(call: Call, params: p.ThreadTurnsListParams) -> Fields:
    store, thread_id = await call.thread_of(params.thread_id)
    if call.is_ephemeral(thread_id):
        raise invalid_request(f"ephemeral threads do not support {call.method}")
    if call.draft(thread_id):
        why = f"{call.method} is unavailable before first user message"
        raise invalid_request(f"thread {thread_id} is not materialized yet; {why}")
    query = _query(thread_id, params, params.cursor)
    view = params.items_view or DEFAULT_VIEW
    return await store.with_turns(thread_id, lambda answers: answers.turns(query, view))


def _query(
    thread_id: str, page: p.ThreadResumeInitialTurnsPageParams, cursor: str | None = None
) -> PageQuery:
    return PageQuery(
        thread_id,
        cursor,
        DEFAULT_LIMIT if page.limit is None else page.limit,
        descending=page.sort_direction != "asc",
    )


async def items_list(call: Call, params: p.ThreadItemsListParams) -> Fields:
    anchor = params.cursor if isinstance(params.cursor, p.ThreadItemsCursorAnchor) else None
    if anchor is not None and not params.turn_id:
        text = "turnId is required when cursor is an item anchor"
        raise RpcError(INVALID_PARAMS, text, "invalid_params")
    store, thread_id = await _checked(call, params.thread_id)
    query = ItemQuery(
        thread_id,
        params.cursor if isinstance(params.cursor, str) else None,
        DEFAULT_LIMIT if params.limit is None else params.limit,
        descending=params.sort_direction == "desc",
        turn_id=params.turn_id,
        item_id=anchor.item_id if anchor else None,
    )
    deferral = params.defer_output or p.ThreadItemOutputDeferral()
    deferred = Deferred(bool(deferral.command_execution), bool(deferral.mcp_tool_call))
    return await store.with_turns(thread_id, lambda answers: answers.items(query, deferred))


async def items_read(call: Call, params: p.ThreadItemsReadParams) -> Fields:
    if not 1 <= len(params.item_ids) <= _MOST_IDS:
        raise invalid_request(f"itemIds must contain 1 to {_MOST_IDS} IDs")
    store, thread_id = await _checked(call, params.thread_id)
    turn_id, ids = params.turn_id, params.item_ids
    return await store.with_turns(thread_id, lambda answers: answers.some_items(turn_id, ids))


async def _checked(call: Call, given: str) -> tuple[ThreadStore, str]:
    """As :meth:`Call.thread_of`. Refuses threads whose items Codex does not list: legacy ones that
    it knows, and those without a file."""
    store, thread_id = await call.thread_of(given)
    if call.draft(thread_id) or not await store.lists_items(thread_id):
        raise RpcError(UNSUPPORTED, f"{call.method} is not supported yet", "unsupported_method")
    return store, thread_id


def no_turns_yet() -> RpcError:
    """The error for all turns of a paginated thread without a file."""
    return RpcError(UNSUPPORTED, "list_turns is not supported yet", "unsupported_method")


async def with_all_turns(call: Call, thread: dict[str, Any]) -> dict[str, Any]:
    """A thread as clients see it, with all its turns; of a fleet, with the machine and the user of
    the copy that has them."""
    store = await call.store()
    if store.index.database.is_fleet:
        _, row = await store.holding(await store.read_thread(thread["id"]))
        thread = {**thread, "machine": row["machine"], "user": row["user"]}
    turns = await store.with_turns(thread["id"], lambda answers: answers.all_turns())
    return {**thread, "turns": turns}


async def resumed_turns(call: Call, thread: dict[str, Any], params: p.ThreadResumeParams) -> Fields:
    """The keys about turns in the answer to ``thread/resume``."""
    store = await call.store()
    page = params.initial_turns_page
    thread_id = thread["id"]
    cursors: Fields = dict.fromkeys(_CURSORS)
    if call.draft(thread_id):
        return {"initialTurnsPage": None, **cursors}
    if thread["historyMode"] != LEGACY:  # a legacy one has none, and may be long to read
        cursors = await store.with_turns(thread_id, lambda answers: answers.end_cursors(thread_id))
    if page is None:
        return {"initialTurnsPage": None, **cursors}
    query, view = _query(thread_id, page), page.items_view or DEFAULT_VIEW
    first = await store.with_turns(thread_id, lambda answers: answers.turns(query, view))
    return {"initialTurnsPage": first, **cursors}


_CURSORS = ("turnsBackwardsCursor", "itemsBackwardsCursor")
