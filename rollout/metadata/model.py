"""The metadata of a thread: what one pass over its rollout gives."""

import dataclasses
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

from rollout.files.layout import RolloutName, name_time_ms
from rollout.jsonl.parse import compact_json
from rollout.schema.permissions import READ_ONLY
from rollout.schema.session_source import source_object

NEVER_MS: Final = -(2**63)
"""When a turn started in a thread without any."""
LONGEST_TEXT: Final = 4096
"""The default number of characters kept of a text; the whole text is in the file."""
SEEN_META: Final = 1  # a session_meta was read
SEEN_PROVIDER: Final = 2  # the provider was named
SEEN_BARE_META: Final = 4  # the metadata had no envelope: a file of the bare era
SEEN_START: Final = 8  # the start of a turn was read
SEEN_PROMPT: Final = 16  # a user_message was read: without starts, turns begin with those
BEGINS_ELSEWHERE: Final = 32
"""No message is in this file: what the thread begins with is in another one. A reducer never sets
it; see :mod:`state.rows.openings`."""
_DEFAULT_POLICY: Final = compact_json(READ_ONLY) or ""


@dataclass(slots=True)
class ThreadMetadata:
    """What the lines of one rollout say about its thread; named as the columns of ``threads``."""

    id: str
    created_at_ms: int = 0
    recency_at_ms: int = NEVER_MS
    """When the last turn started."""
    source: str = "vscode"
    thread_source: str | None = None
    originator: str | None = None
    model_provider: str | None = None
    model: str | None = None
    reasoning_effort: str | None = None
    cwd: str = ""
    title: str = ""
    preview: str = ""
    fallback_preview: str = ""
    first_user_message: str = ""
    sandbox_policy: str = ""
    approval_mode: str = "on-request"
    tokens_used: int = 0
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None
    cli_version: str = ""
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_path: str | None = None
    memory_mode: str = "enabled"
    history_mode: str = "legacy"
    session_id: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    attached_thread_parent_id: str | None = None
    history_base: str | None = None
    rollout_name: str | None = None
    """The name in the file, and when it was set."""
    rollout_name_ms: int = 0
    next_ordinal: int = 0
    """The lowest that the next line may have: one above all before."""
    flags: int = 0

    def __reduce__(self) -> tuple[type["ThreadMetadata"], tuple[Any, ...]]:
        return ThreadMetadata, metadata_values(self)  # they cross processes by the thousand


METADATA_NAMES: Final = tuple(field.name for field in dataclasses.fields(ThreadMetadata))
metadata_values: Final = attrgetter(*METADATA_NAMES)
"""The values as a tuple, in the order of ``METADATA_NAMES``."""


class ToolMetadata(NamedTuple):
    """One dynamic tool of a thread."""

    namespace: str | None
    name: str
    description: str
    input_schema: str
    defer_loading: bool


def complete_metadata(metadata: ThreadMetadata) -> ThreadMetadata:
    """The metadata as a row shows it; a later pass continues from this, too."""
    # A fork may have copied earlier turns; without turns it is the creation.
    if metadata.recency_at_ms < metadata.created_at_ms:
        metadata = dataclasses.replace(metadata, recency_at_ms=metadata.created_at_ms)
    value = source_object(metadata.source)
    if value and value.get("subagent") == {"other": "guardian"}:
        return dataclasses.replace(metadata, title="Guardian review", preview="Approval review")
    return metadata


def initial_metadata(name: RolloutName) -> ThreadMetadata:
    """The metadata before any line: what the file name gives."""
    metadata = ThreadMetadata(id=name.thread_id or "", sandbox_policy=_DEFAULT_POLICY)
    metadata.created_at_ms = name_time_ms(name.started_at or "") or 0
    metadata.session_id = metadata.id or None
    return metadata
