"""Methods that list, read and change stored threads."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from cli.errors import document as error_document
from cli.render.explanation import document
from cli.server.methods.call import Call
from cli.server.methods.turns import no_turns_yet, with_all_turns
from cli.server.protocol import params as p
from cli.server.protocol.messages import INVALID_PARAMS, UNSUPPORTED, RpcError, invalid_request
from cli.server.protocol.serde_wording import bare_uuid, invalid_uuid
from rollout.files.layout import parse_uuid
from state.aio import finished
from state.edit.metadata import Changed
from state.errors import HasDependents, NotArchived
from state.explain.explain import explain
from state.query.model import MOST_EXCLUDED, MOST_INCLUDED, Page, Query
from state.userdata.folders import absolute_folder

Result = TypeVar("Result")
_NEWEST_TIMEOUT_S: Final = 0.5
"""How long a list waits for the first threads of a new index, in seconds."""


async def thread_list(call: Call, params: p.ThreadListParams) -> dict[str, Any]:
    for what, given, most in (
        ("included", params.included_thread_ids, MOST_INCLUDED),
        ("excluded", params.excluded_thread_ids, MOST_EXCLUDED),
    ):
        _check_ids(what, given or (), most)
    if params.originators:
        text = "originator filtering is not supported by the local app-server"
        raise RpcError(INVALID_PARAMS, text, "invalid_params")
    if params.project_id is not None:
        text = f"project not found: {params.project_id}"
        raise RpcError(INVALID_PARAMS, text, "invalid_params")
    if params.parent_thread_id is not None and params.ancestor_thread_id is not None:
        raise invalid_request("parentThreadId and ancestorThreadId are mutually exclusive")
    kin = {"parent": params.parent_thread_id, "ancestor": params.ancestor_thread_id}
    for what, kin_id in kin.items():
        if kin_id is not None and parse_uuid(kin_id) is None:
            text = f"invalid {what} thread id: {invalid_uuid(kin_id)}"
            raise invalid_request(text, "invalid_thread_id")
    if params.sort_key == "section_position":
        raise invalid_request("section-position sorting requires a section filter")
    included = params.included_thread_ids
    folders = [params.cwd] if isinstance(params.cwd, str) else params.cwd
    query = Query(
        sort_key=params.sort_key or "created_at",
        descending=params.sort_direction != "asc",
        limit=25 if params.limit is None else params.limit,
        cursor=params.cursor,
        archived=bool(params.archived),
        source_kinds=tuple(params.source_kinds or ()),
        providers=tuple(params.model_providers or ()),
        cwds=None if folders is None else tuple(map(absolute_folder, folders)),
        search=params.search_term,
        parent_id=params.parent_thread_id,
        ancestor_id=params.ancestor_thread_id,
        excluded_ids=tuple(map(bare_uuid, params.excluded_thread_ids or ())),
        included_ids=None if included is None else tuple(map(bare_uuid, included)),
    )
    if params.section_id is not None:
        query.decoded_cursor()  # Codex refuses a bad cursor before an unknown section
        return _page_json([], Page([]), complete=True)
    store = await call.store()
    supervisor = await call.service.supervisor()
    with suppress(TimeoutError):
        async with asyncio.timeout(_NEWEST_TIMEOUT_S):
            await supervisor.newest_indexed.wait()
    page = await store.list_threads(query)
    return _page_json(
        [call.thread_json(store, row) for row in page.rows], page, complete=supervisor.complete
    )


def _check_ids(what: str, given: Sequence[str], most: int) -> None:
    if len(given) > most:
        text = f"{what}ThreadIds accepts at most {most} entries"
        raise RpcError(INVALID_PARAMS, text, "invalid_params")
    for each in given:
        if parse_uuid(bare_uuid(each)) is None:
            text = f"invalid {what} thread id: {invalid_uuid(each)}"
            raise RpcError(INVALID_PARAMS, text, "invalid_params")


def _page_json(data: list[dict[str, Any]], page: Page, *, complete: bool) -> dict[str, Any]:
    return {
        "data": data,
        "readStates": None,  # only Codex's database has them
        "nextCursor": page.next_cursor,
        "backwardsCursor": page.backwards_cursor,
        "complete": complete,
    }


async def thread_read(call: Call, params: p.ThreadReadParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    if params.include_turns:
        if call.is_ephemeral(thread_id):
            raise invalid_request("ephemeral threads do not support includeTurns")
        if call.is_legacy_draft(thread_id):
            why = "includeTurns is unavailable before first user message"
            raise invalid_request(f"thread {thread_id} is not materialized yet; {why}")
        if call.draft(thread_id):
            raise no_turns_yet()
    thread = await call.thread(store, thread_id)
    if params.include_turns:
        thread = await with_all_turns(call, thread)
    return {"thread": thread, "readState": None}


async def loaded_list(call: Call, params: p.ThreadLoadedListParams) -> dict[str, Any]:
    live = call.loaded_ids(await call.store())
    if live and params.cursor is not None:
        if parse_uuid(params.cursor) is None:
            raise invalid_request(f"invalid cursor: {params.cursor}", "invalid_cursor")
        live = [id_ for id_ in live if id_ > params.cursor]
    shown = live if params.limit is None else live[: max(params.limit, 1)]
    return {"data": shown, "nextCursor": shown[-1] if len(shown) < len(live) else None}


async def name_set(call: Call, params: p.ThreadSetNameParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    if call.is_ephemeral(thread_id) and not params.name.strip():
        raise invalid_request("thread name must not be empty", "invalid_name")
    _refuse_ephemeral(call, thread_id)

    async def change() -> dict[str, Any]:
        changed = await store.set_thread_name(thread_id, params.name)
        name = params.name.strip()
        call.notify_all("thread/name/updated", threadId=thread_id, threadName=name)
        return _with_warning(call, changed)

    return await _change(call, thread_id, change)


async def _change(
    call: Call, thread_id: str, change: Callable[[], Coroutine[Any, Any, Result]]
) -> Result:
    """Make a change. Once begun it is finished, and the other clients are notified of it, even if
    its own client leaves meanwhile."""
    async with call.service.lock_for(thread_id):
        return await finished(change())


def _with_warning(call: Call, changed: Changed) -> dict[str, Any]:
    """The answer to a change: empty, unless Codex's database could not be updated. Then it tells
    why, and every client gets a ``warning``."""
    if changed.codex_error is None:
        return {}
    error = error_document(changed.codex_error)["error"]
    message = f"Codex does not know of this change: {error['message']}; {error['hint']}"
    call.notify_all("warning", threadId=changed.thread_id, message=message)
    return {"codexError": error}


def _refuse_ephemeral(call: Call, thread_id: str) -> None:
    if call.is_ephemeral(thread_id):
        text = f"ephemeral thread does not support metadata updates: {thread_id}"
        raise invalid_request(text)


async def metadata_update(call: Call, params: p.ThreadMetadataUpdateParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    if params.project_id is not None:
        raise invalid_request(f"project not found: {params.project_id}")
    if params.daybreak_enabled is not None:
        text = "thread/metadata/update of daybreakEnabled is not supported: no rollout has it"
        raise RpcError(UNSUPPORTED, text, "unsupported_method")
    if params.git_info is None:
        raise invalid_request("thread metadata update must include at least one field")
    given = params.git_info.model_fields_set
    if not given:
        raise invalid_request("gitInfo must include at least one field")
    git: dict[str, str | None] = {}
    for field, name in (("sha", "sha"), ("branch", "branch"), ("origin_url", "origin")):
        if field in given:
            git[name] = getattr(params.git_info, field)
            if git[name] is not None and not str(git[name]).strip():
                shown = "originUrl" if field == "origin_url" else field
                raise invalid_request(f"gitInfo.{shown} must not be empty")
    _refuse_ephemeral(call, thread_id)

    async def change() -> dict[str, Any]:
        return _with_warning(call, await store.update_thread_metadata(thread_id, git))

    warning = await _change(call, thread_id, change)
    return {"thread": await call.thread(store, thread_id), **warning}


async def memory_mode_set(call: Call, params: p.ThreadMemoryModeSetParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    _refuse_ephemeral(call, thread_id)

    async def change() -> dict[str, Any]:
        return _with_warning(call, await store.set_memory_mode(thread_id, params.mode))

    return await _change(call, thread_id, change)


async def thread_archive(call: Call, params: p.ThreadParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)

    async def change() -> dict[str, Any]:
        moved = await store.archive_thread(thread_id)
        # Spawned threads come last in the list, but are archived first.
        _notify_gone(call, "thread/archived", moved[::-1])
        return {}

    return await _change(call, thread_id, change)


async def thread_unarchive(call: Call, params: p.ThreadParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)

    async def change() -> None:
        try:
            moved = await store.unarchive_thread(thread_id)
        except NotArchived:
            await store.check_unwritten(thread_id)  # the error that Codex gives first
            raise
        for id_ in moved[::-1]:
            call.notify_all("thread/unarchived", threadId=id_)

    await _change(call, thread_id, change)
    return {"thread": await call.thread(store, thread_id)}


async def thread_delete(call: Call, params: p.ThreadParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    if call.is_ephemeral(thread_id):
        text = f"thread is not persisted and cannot be deleted: {thread_id}"
        raise invalid_request(text)

    async def change() -> dict[str, Any]:
        try:
            moved = await store.delete_thread(thread_id)
        except HasDependents:
            await store.check_unwritten(thread_id)  # the error that Codex gives first
            raise
        _notify_gone(call, "thread/deleted", moved)
        return {}

    return await _change(call, thread_id, change)


def _notify_gone(call: Call, method: str, moved: list[str]) -> None:
    for id_ in moved:
        call.service.thread_unloaded(id_)
        call.notify_all(method, threadId=id_)


async def status(call: Call, _: p.Params) -> dict[str, Any]:
    store = await call.store()
    found = await store.index.status()
    job = found.backfill
    return {
        "threads": found.threads,
        "archived": found.archived,
        "buckets": found.buckets,
        "indexBytes": found.index_bytes,
        "backfill": {
            "status": job.status,
            "filesDone": job.files_done,
            "filesTotal": job.files_total,
        },
        "search": {"toIndex": found.fulltext_pending},
        "live": call.loaded_ids(store),
        "indexError": None if store.index_error is None else str(store.index_error),
    }


async def explain_thread(call: Call, params: p.ThreadParams) -> dict[str, Any]:
    store = await call.store()
    sqlite_home = call.service.locations.sqlite_home
    return document(await explain(store.index, params.thread_id, sqlite_home=sqlite_home))
