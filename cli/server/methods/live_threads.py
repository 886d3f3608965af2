"""Methods that make threads live, or need a live one."""

import errno
import json
import os
import stat
import time
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cli import __version__
from cli.errors import outcome
from cli.server.methods.call import Call
from cli.server.methods.response_items import response_lines
from cli.server.methods.turns import no_turns_yet, resumed_turns, with_all_turns
from cli.server.protocol import params as p
from cli.server.protocol.messages import INVALID_REQUEST, UNSUPPORTED, RpcError, invalid_request
from rollout.errors import TurnNotFound
from rollout.files.layout import COMPRESSED_SUFFIX, parse_name
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.writing.new_thread import NewThread, new_id
from state.errors import ThreadNotFound
from state.query.rows import COLUMNS, Row
from state.query.thread_json import thread_json
from state.rows.home_config import default_provider
from state.thread_store import ThreadStore
from state.userdata.folders import absolute_folder


def _register_draft(call: Call, draft: dict[str, Any]) -> dict[str, Any]:
    """Keep a live thread that has no file, and notify all clients of it."""
    call.service.drafts[draft["id"]] = draft
    call.service.mark_in_use(draft["id"], call.client)
    call.notify_all("thread/started", thread=draft)
    return draft


_OF_NEW: Final = (
    *("id", "history_mode", "model_provider", "cwd", "cli_version"),
    *("originator", "source", "thread_source"),
)
"""Columns of a row that are fields of a new thread."""


def _draft(new: NewThread, store: ThreadStore, *, ephemeral: bool) -> dict[str, Any]:
    """A thread without a file, and so without a row, as clients see it."""
    now_ms = time.time_ns() // 1_000_000
    row: Row = dict.fromkeys(COLUMNS.split(", "))
    row |= {name: now_ms for name in row if name.endswith("_at_ms")}
    row |= {name: getattr(new, name) for name in _OF_NEW}
    row |= {"rollout_path": "", "fallback_preview": ""}
    path = None if ephemeral else str(store.path_of(new.id))
    facts = {"status": {"type": "idle"}, "ephemeral": ephemeral, "path": path}
    return {**thread_json(row, store.home), **facts}


async def thread_start(call: Call, params: p.ThreadStartParams) -> dict[str, Any]:
    store = await call.store()
    client = call.client.info
    folder = absolute_folder(params.cwd or ".")
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
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise invalid_request(f"Invalid request: {why}", "invalid_params") from error
    if not params.ephemeral:
        await store.create_thread(new)
    # The file, and with it the row, is created with the first item.
    return _live_result(
        _register_draft(call, _draft(new, store, ephemeral=bool(params.ephemeral))), params
    )


async def _target(
    call: Call, store: ThreadStore, params: p.ThreadResumeParams | p.ThreadForkParams
) -> str:
    """The id of the thread to resume or fork: that of ``path``, if it is given."""
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
    why = _no_file(asked)
    if not why:
        why = "it is not the file of a thread in this home"
        if found and (await store.read_thread(found))["rollout_path"] in _index_paths(
            asked, store.home
        ):
            return found
    raise invalid_request(f"failed to resolve rollout path `{asked}`: {why}")


def _no_file(asked: Path) -> str:
    """Why a path from a client is not a file, plain or compressed; empty if it is."""
    try:
        return "path is a directory" if stat.S_ISDIR(os.stat(asked).st_mode) else ""
    except ValueError as error:  # a NUL in it
        return str(error)
    except OSError as error:
        if os.path.exists(f"{asked}{COMPRESSED_SUFFIX}"):
            return ""
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return "file does not exist" if missing else (error.strerror or str(error))


def _index_paths(path: Path, home: Path) -> tuple[str, ...]:
    """The paths that the index may have for a file of this home."""
    if not path.is_relative_to(home):
        return ()
    inside = path.relative_to(home).as_posix()
    return inside, inside + COMPRESSED_SUFFIX


async def thread_resume(call: Call, params: p.ThreadResumeParams) -> dict[str, Any]:
    if params.history is not None:
        text = "thread/resume with a history is not supported"
        raise RpcError(UNSUPPORTED, text, "unsupported_method")
    store = await call.store()
    thread_id = await _target(call, store, params)
    if call.is_legacy_draft(thread_id) or call.is_ephemeral(thread_id):
        raise ThreadNotFound(thread_id)
    if call.draft(thread_id) and not params.exclude_turns:
        raise no_turns_yet()
    async with call.service.lock_for(thread_id):
        if thread_id not in store.live:
            (await store.resume_thread(thread_id)).close()
            status = {"type": "idle"}
            service = call.service
            service.notify_all("thread/status/changed", threadId=thread_id, status=status)
        call.service.mark_in_use(thread_id, call.client)
    thread = await call.thread(store, thread_id)
    turns = await resumed_turns(call, thread, params)
    if not params.exclude_turns:
        thread = await with_all_turns(call, thread)
    return {**_live_result(thread, params, await _approval(call, store, thread_id)), **turns}


async def _approval(call: Call, store: ThreadStore, thread_id: str) -> Any:
    """The approval policy of the latest turn: a word or an object."""
    if call.draft(thread_id):
        return None
    policy = (await store.index.details(thread_id))["approval_mode"]
    return json.loads(policy) if policy.startswith("{") else policy


async def thread_fork(call: Call, params: p.ThreadForkParams) -> dict[str, Any]:
    if params.last_turn_id is not None and params.before_turn_id is not None:
        raise invalid_request("`beforeTurnId` cannot be combined with `lastTurnId`")
    store = await call.store()
    source = await _target(call, store, params)
    if call.is_legacy_draft(source):
        raise ThreadNotFound(source)
    whole = params.ephemeral and not params.exclude_turns
    if whole and (await call.thread(store, source))["historyMode"] != LEGACY:
        text = "ephemeral paginated thread/fork requires `excludeTurns: true`"
        raise invalid_request(text)
    async with call.service.lock_for(source):
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
        shown = await call.thread(store, source)
        copy = _register_draft(call, _ephemeral_fork(shown, params))
        if not params.exclude_turns:
            turns = (await with_all_turns(call, shown))["turns"]
            copy = {**copy, "turns": _forked_turns(turns, params)}
        return _live_result(copy, params, approval)
    async with call.service.lock_for(fork):
        (await store.resume_thread(fork)).close()
        call.service.mark_in_use(fork, call.client)
    thread = await call.thread(store, fork)
    call.notify_all("thread/started", thread=thread)
    if not params.exclude_turns:
        thread = await with_all_turns(call, thread)
    return _live_result(thread, params, approval)


def _forked_turns(turns: list[dict[str, Any]], params: p.ThreadForkParams) -> list[dict[str, Any]]:
    """The turns that a fork keeps."""
    ids = [turn["id"] for turn in turns]
    if params.before_turn_id is not None:
        return turns[: ids.index(params.before_turn_id)]
    if params.last_turn_id is not None:
        return turns[: ids.index(params.last_turn_id) + 1]
    return turns


def _ephemeral_fork(source: dict[str, Any], params: p.ThreadForkParams) -> dict[str, Any]:
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


async def thread_unsubscribe(call: Call, params: p.ThreadParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    if thread_id not in call.loaded_ids(store):
        return {"status": "notLoaded"}
    release = call.service.release(thread_id, call.client)
    return {"status": "unsubscribed" if release else "notSubscribed"}


async def inject_items(call: Call, params: p.ThreadInjectItemsParams) -> dict[str, Any]:
    store, thread_id = await call.thread_of(params.thread_id)
    async with call.service.lock_for(thread_id):
        if thread_id not in call.loaded_ids(store):
            text = f"thread not found: {thread_id}"
            how = "only a live thread takes items: thread/resume makes it live"
            raise RpcError(INVALID_REQUEST, text, "thread_not_found", hint=how)
        items = response_lines(params.items)
        if call.is_ephemeral(thread_id):
            return {}  # no method would show them
        await store.append_items(thread_id, items)
        await store.persist_thread(thread_id)
        await store.flush_thread(thread_id)
    return {}


def _live_result(
    thread: dict[str, Any], params: p.ModelSettings, approval: Any = None
) -> dict[str, Any]:
    """The answer of the methods that make a thread live. Settings of the model are sent back: no
    model runs here. ``approval`` is the approval policy of its latest turn."""
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
