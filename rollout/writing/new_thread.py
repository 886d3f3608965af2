"""The beginning of a new thread: its id, the path of its file, its first line
(docs/rollout-format.md#file-names, docs/rollout-format.md#session_meta)."""

from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict
from pydantic.dataclasses import dataclass

from rollout.files.layout import SESSIONS, parse_uuid
from rollout.files.text import is_storable
from rollout.jsonl.parse import Item
from rollout.schema.modes import MODES, PAGINATED


def new_id() -> str:
    """A UUID of version 7 for this moment."""
    from uuid_utils.compat import uuid7  # only who makes a thread pays for loading it

    return str(uuid7())


def rollout_path(thread_id: str, at: datetime) -> str:
    """Where a thread that begins ``at`` (local time) has its file, relative to the home."""
    return f"{SESSIONS}/{at:%Y/%m/%d}/rollout-{at:%Y-%m-%dT%H-%M-%S}-{thread_id}.jsonl"


def _checked_text(text: str) -> str:
    if not is_storable(text):
        raise ValueError("not all of it is text")
    return text


def _checked_id(text: str) -> str:
    if parse_uuid(text) != text:
        raise ValueError("no thread id, a lower-case UUID")
    return text


def _checked_base(base: dict[str, Any]) -> dict[str, Any]:
    match base:
        case {"thread_id": str(), "end_ordinal_exclusive": int(), "end_byte_offset": int()}:
            return base
    raise ValueError("a base has a thread_id, an end_ordinal_exclusive and an end_byte_offset")


_Text = Annotated[str, AfterValidator(_checked_text)]
_Id = Annotated[str, AfterValidator(_checked_id)]
_Base = Annotated[dict[str, Any], AfterValidator(_checked_base)]


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(strict=True))
class NewThread:
    """The properties of a new thread; fields as in ``session_meta``. Raises ValueError for a value
    that no reader could use."""

    cwd: _Text
    """The absolute path of its folder."""
    originator: _Text
    """The program that records it."""
    cli_version: _Text
    source: _Text | dict[str, Any] = "vscode"
    """Who began it: lists show ``cli`` and ``vscode`` by default."""
    model_provider: _Text | None = None
    history_mode: str = PAGINATED
    id: _Id = field(default_factory=new_id)
    session_id: _Id | None = None
    """The root thread's; its own id if None."""
    forked_from_id: _Id | None = None
    forked_from_ordinal_exclusive: int | None = None
    parent_thread_id: _Id | None = None
    thread_source: _Text | None = None
    agent_nickname: _Text | None = None
    agent_role: _Text | None = None
    agent_path: _Text | None = None
    base_instructions: dict[str, Any] | None = None
    dynamic_tools: list[dict[str, Any]] | None = None
    memory_mode: _Text | None = None
    history_base: _Base | None = None
    extended: bool = False
    """Keep what only the older, extended level of legacy threads keeps."""

    def __post_init__(self) -> None:
        """Check what depends on more than one field."""
        given = self.forked_from_id is None  # a fork has its source's, whatever that is
        if given and (not self.cwd.startswith("/") or "\0" in self.cwd):
            raise ValueError(f"the folder of a thread is an absolute path, not {self.cwd!r}")
        if self.history_mode not in MODES:
            raise ValueError(f"unknown history_mode {self.history_mode!r}: {' or '.join(MODES)}")


_META_FIELDS: Final = (
    *("session_id", "id", "forked_from_id", "forked_from_ordinal_exclusive", "parent_thread_id"),
    *("timestamp", "cwd", "originator", "cli_version", "source", "thread_source"),
    *("agent_nickname", "agent_role", "agent_path", "model_provider", "base_instructions"),
    *("dynamic_tools", "memory_mode", "history_mode", "history_base", "git"),
)
"""In the order that Codex writes. Of those that are null only ``base_instructions`` is written."""


def first_line(thread: NewThread, created: str, git: dict[str, str] | None) -> Item:
    """The ``session_meta`` of a new thread. ``created`` is the time of creation, ``git`` what
    :mod:`state.edit.git` found."""
    other = {"session_id": thread.session_id or thread.id, "timestamp": created, "git": git}
    payload: dict[str, Any] = {}
    for name in _META_FIELDS:
        value = other[name] if name in other else getattr(thread, name)
        if value is not None or name == "base_instructions":
            payload[name] = value
    return {"type": "session_meta", "payload": payload}
