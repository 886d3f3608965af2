"""A rollout made of a thread's messages, where the fleet has no more of it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from rollout.files.layout import logical_path
from rollout.jsonl.parse import compact_json
from state.db.steps import Steps
from state.fleet.reading.dialect import Binary
from state.fleet.reading.rollouts import Copy, is_rollout_path
from state.fleet.server.documents import MOST_BYTES, NAME, BadDocument, decoded

NOTE: Final = (
    "[threadkeep] The fleet has only the messages of this thread. Its commands, patches and other"
    " items are on the machine {}."
)
_LAST_MS: Final = 253402300799000
"""The end of the year 9999: no time is later."""
_EVENTS: Final = {"userMessage": "user_message", "agentMessage": "agent_message"}
_COLUMNS: Final = (
    *("created_at_ms", "cwd", "originator", "cli_version", "source", "model_provider"),
    *("git_sha", "git_branch", "git_origin_url", "thread_source", "session_id"),
    *("forked_from_id", "parent_thread_id", "agent_nickname", "agent_role"),
)
_ROW: Final = Binary(f"SELECT row_id, {', '.join(_COLUMNS)} FROM threads WHERE id = %s")
_DOCUMENTS: Final = Binary("SELECT messages FROM documents WHERE row_id = %s ORDER BY position")


class Messages(NamedTuple):
    """The messages of a thread, and what its row says."""

    row: dict[str, Any]
    documents: list[bytes]


def messages_steps(thread_id: str) -> Steps[Messages | None]:
    """The messages that the fleet has of a thread; None if it has none."""
    rows = yield _ROW, [thread_id]
    if not rows:
        return None
    row_id, *values = rows[0]
    found = yield _DOCUMENTS, [row_id]
    documents = [bytes(data) for (data,) in found if data]
    return Messages(dict(zip(_COLUMNS, values, strict=True)), documents) if documents else None


def rollout_of_messages(copy: Copy, path: str, messages: Messages) -> tuple[str, bytes]:
    """The path and the bytes of the rollout. Raises CopyUnusable if they are no messages."""
    path = logical_path(path)
    if not is_rollout_path(path):
        raise copy.unusable(f"its path {path[:240]!r} is none of a rollout")
    created_ms = min(max(messages.row["created_at_ms"], 0), _LAST_MS)
    created = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=created_ms)
    time = created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    lines = [{"type": "session_meta", "payload": _meta(copy.thread_id, time, messages.row)}]
    note = _event("agent_message", message=NOTE.format(copy.machine))
    for turn_id, group in groupby(_read(copy, messages.documents), key=itemgetter(1)):
        turn = [_event(_EVENTS[kind], message=text) for kind, _, text in group]
        if len(lines) == 1:  # behind what the user asked, which is the title of the turn
            turn.insert(int(turn[0]["payload"]["type"] == _EVENTS["userMessage"]), note)
        if turn_id:
            turn.insert(0, _event("task_started", turn_id=turn_id, model_context_window=None))
            turn.append(_event("task_complete", turn_id=turn_id, last_agent_message=None))
        lines += turn
    if len(lines) == 1:
        lines.append(note)
    made = (compact_json({"timestamp": time, **line}) for line in lines)
    return path, b"".join(f"{line}\n".encode("utf-8", "replace") for line in made if line)


def _event(kind: str, **payload: Any) -> dict[str, Any]:
    return {"type": "event_msg", "payload": {"type": kind, **payload}}


def _meta(thread_id: str, time: str, row: dict[str, Any]) -> dict[str, Any]:
    git = {
        "commit_hash": row["git_sha"],
        "branch": row["git_branch"],
        "repository_url": row["git_origin_url"],
    }
    source = row["source"]
    if source.startswith("{"):
        with suppress(ValueError):
            source = orjson.loads(source)
    same = (*_COLUMNS[1:4], "model_provider", *_COLUMNS[9:])
    meta = {"id": thread_id, "timestamp": time, "source": source, "history_mode": "legacy"}
    meta |= {name: row[name] for name in same if row[name] is not None}
    found = {name: value for name, value in git.items() if value}
    return meta | ({"git": found} if found else {})


def _read(copy: Copy, documents: Sequence[bytes]) -> Iterator[tuple[str, str, str]]:
    """Kind, turn and text of each message. Raises CopyUnusable if they are none, or too many."""
    left = MOST_BYTES
    for data in documents:
        try:
            found = decoded(data, left)
        except BadDocument as error:
            raise copy.unusable(f"its messages cannot be read: {error}") from error
        for kind, turn_id, _, text in found:
            left -= len(text)
            if kind in _EVENTS:
                yield kind, turn_id, text
            elif kind != NAME:
                raise copy.unusable(f"its messages cannot be read: one is {kind[:40]!r}")
