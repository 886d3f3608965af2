"""The methods that are served: what each does with the store, and the shape of its answer."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli import __version__
from cli.errors import outcome
from cli.explain import document
from cli.server import params as p
from cli.server.call import Call
from cli.server.changes import Changes, changes
from cli.server.codex_methods import OF_CODEX
from cli.server.command import Command, command
from cli.server.items import check_items
from cli.server.messages import INVALID_PARAMS, UNSUPPORTED, Fault, invalid_request
from cli.server.wording import invalid_uuid
from rollout.creation import NewThread, new_id
from rollout.errors import TurnNotFound
from rollout.paths import COMPRESSED_SUFFIX, parse_name, parse_uuid
from rollout.persistence import LEGACY, PAGINATED
from state.errors import DependedOn, NotArchived, ThreadNotFound
from state.explain import explain
from state.listing import COLUMNS, MOST_EXCLUDED, Page, Query, Row
from state.place import absolute_folder, default_provider
from state.threads import ThreadStore
from state.view import thread_json

if TYPE_CHECKING:
    pass

__all__ = ["METHODS", "OF_CODEX", "Method"]

_FIRST_PATIENCE_S: Final = 0.5
"""How long a list waits for the first threads of an index that is being made, in seconds."""


async def thread_list(call: Call, params: p.ThreadList) -> dict[str, Any]:
    if params.originators:
        text = "originator filtering is not supported by the local app-server"
        raise Fault(INVALID_PARAMS, text, "invalid_params")
    if params.project_id is not None:
        text = f"project not found: {params.project_id}"
        raise Fault(INVALID_PARAMS, text, "invalid_params")
    excluded = params.excluded_thread_ids or []
    if len(excluded) > MOST_EXCLUDED:
        text = f"excludedThreadIds must have at most {MOST_EXCLUDED} of them"
        raise Fault(INVALID_PARAMS, text, "invalid_params")
    for given in excluded:
        if parse_uuid(given) is None:
            text = f"invalid excluded thread id: {invalid_uuid(given)}"
            raise Fault(INVALID_PARAMS, text, "invalid_params")
    if params.parent_thread_id is not None and params.ancestor_thread_id is not None:
        raise invalid_request("parentThreadId and ancestorThreadId are mutually exclusive")
    kin = {"parent": params.parent_thread_id, "ancestor": params.ancestor_thread_id}
    for what, kin_id in kin.items():
        if kin_id is not None and parse_uuid(kin_id) is None:
            text = f"invalid {what} thread id: {invalid_uuid(kin_id)}"
            raise invalid_request(text, "invalid_thread_id")
    if params.sort_key == "section_position":
        raise invalid_request("section-position sorting requires a section filter")
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
        excluded_ids=tuple(excluded),
    )
    query.place()
    if params.section_id is not None:
        return _listed([], Page([]), complete=True)
    store = await call.store()
    keeper = await call.session.service.keeper()
    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_PATIENCE_S):
            await keeper.newest.wait()
    page = await store.list_threads(query)
    return _listed([call.shown(store, row) for row in page.rows], page, complete=keeper.complete)


def _listed(data: list[dict[str, Any]], page: Page, *, complete: bool) -> dict[str, Any]:
    return {
        "data": data,
        "readStates": None,  # what was read is in Codex's database alone
        "nextCursor": page.next_cursor,
        "backwardsCursor": page.backwards_cursor,
        "complete": complete,
    }


async def thread_read(call: Call, params: p.ThreadRead) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    if params.include_turns:
        if call.passing(thread_id):
            raise invalid_request("ephemeral threads do not support includeTurns")
        if _is_legacy_draft(call, thread_id):
            why = "includeTurns is unavailable before first user message"
            raise invalid_request(f"thread {thread_id} is not materialized yet; {why}")
        text = "thread/read with includeTurns is not supported yet"
        raise Fault(UNSUPPORTED, text, "unsupported_method")
    return {"thread": await call.thread(store, thread_id), "readState": None}


async def loaded_list(call: Call, params: p.LoadedList) -> dict[str, Any]:
    live = call.loaded(await call.store())
    if live and params.cursor is not None:
        if parse_uuid(params.cursor) is None:
            raise invalid_request(f"invalid cursor: {params.cursor}", "invalid_cursor")
        live = [id_ for id_ in live if id_ > params.cursor]
    shown = live if params.limit is None else live[: max(params.limit, 1)]
    return {"data": shown, "nextCursor": shown[-1] if len(shown) < len(live) else None}


async def thread_start(call: Call, params: p.ThreadStart) -> dict[str, Any]:
    store = await call.store()
    client = call.session.client
    folder = absolute_folder(params.cwd or os.getcwd())
    instructions = params.base_instructions
    try:
        new = NewThread(
            cwd=folder,
            originator=client.client_info.name if client else "threadkeep",
            cli_version=__version__,
            model_provider=params.model_provider or default_provider(store.home),
            history_mode=params.history_mode or PAGINATED,
            thread_source=params.thread_source,
            base_instructions=None if instructions is None else {"text": instructions},
            dynamic_tools=params.dynamic_tools,
        )
    except ValueError as error:
        raise invalid_request(f"Invalid request: {error}", "invalid_params") from error
    if not params.ephemeral:
        await store.create_thread(new)
    # No file is made before something is said in it, so no row either.
    return _begun(_hold(call, _draft(new, store, ephemeral=bool(params.ephemeral))), params)


def _hold(call: Call, draft: dict[str, Any]) -> dict[str, Any]:
    """Have a thread live that has no file, and tell of it."""
    call.session.service.drafts[draft["id"]] = draft
    call.session.service.held(draft["id"], call.session.tell)
    call.tell_all("thread/started", thread=draft)
    return draft


def _draft(new: NewThread, store: ThreadStore, *, ephemeral: bool) -> dict[str, Any]:
    """A thread that has no file yet, and so no row, as clients see it."""
    now_ms = time.time_ns() // 1_000_000
    row: Row = dict.fromkeys(COLUMNS.split(", "))
    row |= {name: now_ms for name in row if name.endswith("_at_ms")}
    row |= {
        "id": new.id,
        "history_mode": new.history_mode,
        "model_provider": new.model_provider,
        "rollout_path": "",
        "cwd": new.cwd,
        "cli_version": new.cli_version,
        "originator": new.originator,
        "source": new.source,
        "thread_source": new.thread_source,
        "fallback_preview": "",
    }
    path = None if ephemeral else str(store.path_of(new.id))
    facts = {"status": {"type": "idle"}, "ephemeral": ephemeral, "path": path}
    return {**thread_json(row, store.home), **facts}


async def _meant(call: Call, store: ThreadStore, params: p.ThreadResume | p.ThreadFork) -> str:
    """The thread that is to be resumed or forked: that of ``path``, if one is given."""
    thread_id = call.id(params.thread_id)
    if not params.path:
        return thread_id
    asked = store.home / params.path
    if thread_id in store.live:
        if asked != store.path_of(thread_id):
            stale = f"requested `{asked}`, active `{store.path_of(thread_id)}`"
            text = f"cannot resume running thread {thread_id} with stale path: {stale}"
            raise invalid_request(text)
        return thread_id
    name = parse_name(asked.name)
    found = name.thread_id if name else None
    why = "it is not the file of a thread in this home"
    if asked.is_dir():
        why = "path is a directory"
    elif not (asked.exists() or Path(f"{asked}{COMPRESSED_SUFFIX}").exists()):
        why = "file does not exist"
    elif found and (await store.read_thread(found))["rollout_path"] in _stored(asked, store.home):
        return found
    raise invalid_request(f"failed to resolve rollout path `{asked}`: {why}")


def _stored(path: Path, home: Path) -> tuple[str, ...]:
    """How the index may have the path that an answer had."""
    if not path.is_relative_to(home):
        return ()
    inside = path.relative_to(home).as_posix()
    return inside, inside + COMPRESSED_SUFFIX


async def thread_resume(call: Call, params: p.ThreadResume) -> dict[str, Any]:
    if params.history is not None:
        text = "thread/resume with a history is not supported"
        raise Fault(UNSUPPORTED, text, "unsupported_method")
    store = await call.store()
    thread_id = await _meant(call, store, params)
    if _is_legacy_draft(call, thread_id):
        raise ThreadNotFound(thread_id)
    async with call.session.service.turn_of(thread_id):
        if thread_id not in store.live:
            (await store.resume_thread(thread_id)).close()
            status = {"type": "idle"}
            service = call.session.service
            service.tell_all("thread/status/changed", threadId=thread_id, status=status)
        call.session.service.held(thread_id, call.session.tell)
    thread = await call.thread(store, thread_id)
    unserved = dict.fromkeys(("initialTurnsPage", "turnsBackwardsCursor", "itemsBackwardsCursor"))
    return {**_begun(thread, params, await _approval(call, store, thread_id)), **unserved}


def _is_legacy_draft(call: Call, thread_id: str) -> bool:
    """It has no file yet, and unlike a paginated one gets none for being asked for it."""
    draft = call.draft(thread_id)
    return draft is not None and draft["historyMode"] == LEGACY


async def _approval(call: Call, store: ThreadStore, thread_id: str) -> Any:
    """When the latest turn asked for approval: a word, or an object of them."""
    if call.draft(thread_id):
        return None
    policy = (await store.index.details(thread_id))["approval_mode"]
    return json.loads(policy) if policy.startswith("{") else policy


async def thread_fork(call: Call, params: p.ThreadFork) -> dict[str, Any]:
    if params.last_turn_id is not None and params.before_turn_id is not None:
        raise invalid_request("`beforeTurnId` cannot be combined with `lastTurnId`")
    store = await call.store()
    source = await _meant(call, store, params)
    if _is_legacy_draft(call, source):
        raise ThreadNotFound(source)
    async with call.session.service.turn_of(source):
        try:
            fork = await store.fork_thread(
                source,
                last_turn=params.last_turn_id,
                before_turn=params.before_turn_id,
                source="vscode",
                cwd=absolute_folder(params.cwd) if params.cwd else None,
                thread_source=params.thread_source,
                dry_run=params.ephemeral,
            )
        except TurnNotFound as error:
            if (await store.read_thread(source))["history_mode"] != LEGACY:
                raise
            field = "lastTurnId" if params.last_turn_id is not None else "beforeTurnId"
            text = f"{field} '{error.turn_id}' was not found in the source thread"
            raise invalid_request(text, outcome(error).kind) from error
    approval = await _approval(call, store, source)
    if params.ephemeral:
        copy = _ephemeral_fork(await call.thread(store, source), params)
        return _begun(_hold(call, copy), params, approval)
    async with call.session.service.turn_of(fork):
        (await store.resume_thread(fork)).close()
        call.session.service.held(fork, call.session.tell)
    thread = await call.thread(store, fork)
    call.tell_all("thread/started", thread=thread)
    return _begun(thread, params, approval)


def _ephemeral_fork(source: dict[str, Any], params: p.ThreadFork) -> dict[str, Any]:
    """A thread that begins as another one did, and has no file."""
    fork_id = new_id()
    now = int(time.time())
    return {
        **source,
        "id": fork_id,
        "sessionId": fork_id,
        "forkedFromId": source["id"],
        "parentThreadId": None,
        "attachedToThreadId": None,
        "agentNickname": None,
        "agentRole": None,
        "ephemeral": True,
        "createdAt": now,
        "updatedAt": now,
        "recencyAt": now,
        "status": {"type": "idle"},
        "path": None,
        "cwd": absolute_folder(params.cwd) if params.cwd else source["cwd"],
        "source": "vscode",
        "threadSource": params.thread_source,
        "gitInfo": None,
        "name": None,
    }


async def name_set(call: Call, params: p.NameSet) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    if call.passing(thread_id) and not params.name.strip():
        raise invalid_request("thread name must not be empty", "invalid_name")
    _refuse_passing(call, thread_id)
    async with call.session.service.turn_of(thread_id):
        await store.set_thread_name(thread_id, params.name)
    name = params.name.strip()
    call.tell_all("thread/name/updated", threadId=thread_id, threadName=name)
    return {}


def _refuse_passing(call: Call, thread_id: str) -> None:
    if call.passing(thread_id):
        text = f"ephemeral thread does not support metadata updates: {thread_id}"
        raise invalid_request(text)


async def metadata_update(call: Call, params: p.MetadataUpdate) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    if params.project_id is not None:
        raise invalid_request(f"project not found: {params.project_id}")
    if params.daybreak_enabled is not None:
        text = "thread/metadata/update of daybreakEnabled is not supported: no rollout has it"
        raise Fault(UNSUPPORTED, text, "unsupported_method")
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
    _refuse_passing(call, thread_id)
    async with call.session.service.turn_of(thread_id):
        await store.update_thread_metadata(thread_id, git)
    return {"thread": await call.thread(store, thread_id)}


async def memory_mode_set(call: Call, params: p.MemoryModeSet) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    _refuse_passing(call, thread_id)
    async with call.session.service.turn_of(thread_id):
        await store.set_memory_mode(thread_id, params.mode)
    return {}


async def thread_archive(call: Call, params: p.Archive) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    async with call.session.service.turn_of(thread_id):
        moved = await store.archive_thread(thread_id)
    _gone(call, "thread/archived", moved[::-1])  # what was spawned comes last, but went first
    return {}


async def thread_unarchive(call: Call, params: p.Unarchive) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    async with call.session.service.turn_of(thread_id):
        try:
            moved = await store.unarchive_thread(thread_id)
        except NotArchived:
            await store.check_unwritten(thread_id)  # of the two, Codex says this
            raise
    for id_ in moved[::-1]:
        call.tell_all("thread/unarchived", threadId=id_)
    return {"thread": await call.thread(store, thread_id)}


async def thread_delete(call: Call, params: p.Delete) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    if call.passing(thread_id):
        text = f"thread is not persisted and cannot be deleted: {thread_id}"
        raise invalid_request(text)
    async with call.session.service.turn_of(thread_id):
        try:
            moved = await store.delete_thread(thread_id)
        except DependedOn:
            await store.check_unwritten(thread_id)  # of the two, Codex says this
            raise
    _gone(call, "thread/deleted", moved)
    return {}


async def thread_unsubscribe(call: Call, params: p.Unsubscribe) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    if thread_id not in call.loaded(store):
        return {"status": "notLoaded"}
    let_go = call.session.service.let_go(thread_id, call.session.tell)
    return {"status": "unsubscribed" if let_go else "notSubscribed"}


async def inject_items(call: Call, params: p.InjectItems) -> dict[str, Any]:
    store = await call.store()
    thread_id = call.id(params.thread_id)
    async with call.session.service.turn_of(thread_id):
        if thread_id not in call.loaded(store):
            raise invalid_request(f"thread not found: {thread_id}", "thread_not_found")
        check_items(params.items)
        if call.passing(thread_id):
            return {}  # nothing that is served could show them
        items = [{"type": "response_item", "payload": item} for item in params.items]
        await store.append_items(thread_id, items)
        await store.persist_thread(thread_id)
        await store.flush_thread(thread_id)
    return {}


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
        "live": call.loaded(store),
        "indexError": None if store.index_error is None else str(store.index_error),
    }


async def explain_thread(call: Call, params: p.OneThread) -> dict[str, Any]:
    store = await call.store()
    places = call.session.service.places
    return document(await explain(store.index, params.thread_id, sqlite_home=places.sqlite_home))


def _gone(call: Call, method: str, moved: list[str]) -> None:
    for id_ in moved:
        call.session.service.unloaded(id_)
        call.tell_all(method, threadId=id_)


def _begun(thread: dict[str, Any], params: p.Settings, approval: Any = None) -> dict[str, Any]:
    """The answer to what makes a thread live. What is said of a model is given back as it came:
    nothing here runs one. ``approval`` is when the thread has last asked for it."""
    folder = params.cwd or thread["cwd"]
    return {
        "thread": thread,
        "model": params.model or thread["model"] or "",
        "modelProvider": params.model_provider or thread["modelProvider"],
        "serviceTier": params.service_tier,
        "cwd": folder,
        "runtimeWorkspaceRoots": [folder],
        "instructionSources": [],
        "approvalPolicy": params.approval_policy or approval or "on-request",
        "approvalsReviewer": params.approvals_reviewer or "user",
        "sandbox": _SANDBOXES[params.sandbox or "read-only"],
        "activePermissionProfile": None,
        "reasoningEffort": thread["reasoningEffort"],
        "multiAgentMode": "explicitRequestOnly",
        "disabledPluginIds": [],
    }


_SANDBOXES: Final[dict[str, dict[str, Any]]] = {
    "read-only": {"type": "readOnly", "networkAccess": False},
    "workspace-write": {
        "type": "workspaceWrite",
        "writableRoots": [],
        "networkAccess": False,
        "excludeTmpdirEnvVar": False,
        "excludeSlashTmp": False,
    },
    "danger-full-access": {"type": "dangerFullAccess"},
}
Work = Callable[[Call, Any], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    params: type[p.Params]
    work: Work
    experimental: bool = False
    experimental_fields: tuple[str, ...] = ()


METHODS: Final[dict[str, Method]] = {
    "thread/list": Method(
        p.ThreadList,
        thread_list,
        experimental_fields=("parentThreadId", "ancestorThreadId", "projectId"),
    ),
    "thread/read": Method(p.ThreadRead, thread_read),
    "thread/loaded/list": Method(p.LoadedList, loaded_list),
    "thread/start": Method(p.ThreadStart, thread_start, experimental_fields=("historyMode",)),
    "thread/resume": Method(p.ThreadResume, thread_resume, experimental_fields=("path", "history")),
    "thread/fork": Method(p.ThreadFork, thread_fork, experimental_fields=("path", "beforeTurnId")),
    "thread/name/set": Method(p.NameSet, name_set),
    "thread/metadata/update": Method(p.MetadataUpdate, metadata_update),
    "thread/memoryMode/set": Method(p.MemoryModeSet, memory_mode_set, experimental=True),
    "thread/archive": Method(p.Archive, thread_archive),
    "thread/unarchive": Method(p.Unarchive, thread_unarchive),
    "thread/delete": Method(p.Delete, thread_delete),
    "thread/unsubscribe": Method(p.Unsubscribe, thread_unsubscribe),
    "thread/inject_items": Method(p.InjectItems, inject_items),
    "threadkeep/status": Method(p.Params, status),
    "threadkeep/explain": Method(p.OneThread, explain_thread),
    "threadkeep/changes": Method(Changes, changes),
    "threadkeep/command": Method(Command, command),
}
