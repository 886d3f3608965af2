"""A new thread's beginning: its id, the place of its file, its first line (rollout-format §1.2,
§3)."""

import os
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rollout.paths import SESSIONS, parse_uuid
from rollout.persistence import MODES, PAGINATED, Item


def new_id() -> str:
    """A UUID of version 7 for this moment."""
    now = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & ((1 << 74) - 1)
    value = (now & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (random >> 62) << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | (random & ((1 << 62) - 1))))


def rollout_path(thread_id: str, at: datetime, rollout_id: str | None = None) -> str:
    """Where a thread that begins ``at`` (local time) has its file, relative to the home."""
    owner = thread_id if rollout_id in (None, thread_id) else f"{thread_id}_{rollout_id}"
    return f"{SESSIONS}/{at:%Y/%m/%d}/rollout-{at:%Y-%m-%dT%H-%M-%S}-{owner}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewThread:
    """What is known of a thread when it is created. Fields as in ``session_meta``."""

    cwd: str
    originator: str
    cli_version: str
    source: str | dict[str, Any] = "vscode"
    model_provider: str | None = None
    history_mode: str = PAGINATED
    id: str = field(default_factory=new_id)
    session_id: str | None = None
    """The root thread's; its own id if None."""
    forked_from_id: str | None = None
    forked_from_ordinal_exclusive: int | None = None
    parent_thread_id: str | None = None
    thread_source: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_path: str | None = None
    base_instructions: dict[str, Any] | None = None
    dynamic_tools: list[dict[str, Any]] | None = None
    memory_mode: str | None = None
    history_base: dict[str, Any] | None = None
    extended: bool = False
    """Keep what only the older, extended level of legacy threads keeps (§11.2)."""

    def __post_init__(self) -> None:
        """Raise ValueError for what no reader could use."""
        if parse_uuid(self.id) != self.id:
            raise ValueError(f"no thread id, a lower-case UUID: {self.id!r}")
        given = self.forked_from_id is None  # a fork has its source's, whatever that is
        if given and (not self.cwd.startswith("/") or "\0" in self.cwd):
            raise ValueError(f"the folder of a thread is an absolute path, not {self.cwd!r}")
        if self.history_mode not in MODES:
            raise ValueError(f"unknown history_mode {self.history_mode!r}: {' or '.join(MODES)}")


def first_line(thread: NewThread, created: str, git: dict[str, str] | None) -> Item:
    """The ``session_meta`` of a new thread, fields in the order that Codex writes.

    ``created`` is the time of creation (§1.6), ``git`` what :mod:`state.git` found.
    """
    optional = {
        "session_id": thread.session_id or thread.id,
        "id": thread.id,
        "forked_from_id": thread.forked_from_id,
        "forked_from_ordinal_exclusive": thread.forked_from_ordinal_exclusive,
        "parent_thread_id": thread.parent_thread_id,
        "timestamp": created,
        "cwd": thread.cwd,
        "originator": thread.originator,
        "cli_version": thread.cli_version,
        "source": thread.source,
        "thread_source": thread.thread_source,
        "agent_nickname": thread.agent_nickname,
        "agent_role": thread.agent_role,
        "agent_path": thread.agent_path,
        "model_provider": thread.model_provider,
    }
    payload: dict[str, Any] = {key: value for key, value in optional.items() if value is not None}
    payload["base_instructions"] = thread.base_instructions  # null is written out (§3)
    late = {
        "dynamic_tools": thread.dynamic_tools,
        "memory_mode": thread.memory_mode,
        "history_mode": thread.history_mode,
        "history_base": thread.history_base,
        "git": git,
    }
    payload |= {key: value for key, value in late.items() if value is not None}
    return {"type": "session_meta", "payload": payload}
