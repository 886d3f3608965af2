"""Tables of the index, in SQLAlchemy Core. ``docs/schema.md`` tells what each column means.

Columns that Codex's own ``threads`` table has keep its names, units and values
(docs/schema.md#threads); ``rollout_path`` is relative to the home here.
"""

from typing import Any, Final

import sqlalchemy as sa

from rollout.metadata.model import BEGINS_ELSEWHERE
from state.db.derived_columns import SORT_KEYS
from state.db.job_table import BACKFILL, FLEET, FULLTEXT, JobTable

metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

FACET_SQL: Final = (
    "archived || (preview = '' AND fallback_preview = '' AND name IS NULL)"
    " || (attached_thread_parent_id IS NOT NULL) || '|' || source_kind || '|' || model_provider"
)
"""What decides whether a list shows a thread, in one value: see :mod:`state.query.listing`."""


def _text(name: str, default: str | None = None) -> "sa.Column[str]":
    server_default = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, sa.Text, nullable=False, server_default=server_default)


def _optional(name: str) -> "sa.Column[str | None]":
    return sa.Column(name, sa.Text)


def _number(name: str, default: int | None = None) -> "sa.Column[int]":
    server_default = None if default is None else sa.text(str(default))
    return sa.Column(name, sa.Integer, nullable=False, server_default=server_default)


def _optional_number(name: str) -> "sa.Column[int | None]":
    return sa.Column(name, sa.Integer)


def _key(name: str, type_: type[Any], parent: str | None = None) -> "sa.Column[Any]":
    """A column of a primary key; the row goes with that of its ``parent``."""
    parents = [sa.ForeignKey(parent, ondelete="CASCADE")] if parent else []
    return sa.Column(name, type_, *parents, primary_key=True, nullable=False)


def _seconds(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, sa.Computed(f"{name}_ms / 1000", persisted=False))


threads: Final = sa.Table(
    "threads",
    metadata,
    # Explicit, because the title search refers to rows by it and VACUUM renumbers others.
    sa.Column("row_id", sa.Integer, primary_key=True),
    *map(_text, ("id", "rollout_path")),
    *map(_number, ("created_at_ms", "updated_at_ms", "recency_at_ms")),
    *map(_seconds, ("created_at", "updated_at", "recency_at")),
    *map(_text, ("source", "source_kind")),
    *map(_optional, ("thread_source", "originator")),
    _text("model_provider"),
    *map(_optional, ("model", "reasoning_effort")),
    *map(_text, ("cwd", "cwd_key", "title")),
    _optional("name"),
    *(_text(n, "") for n in ("preview", "fallback_preview", "first_user_message", "search_text")),
    *map(_text, ("sandbox_policy", "approval_mode")),
    _number("tokens_used", 0),
    _number("archived", 0),
    _optional_number("archived_at"),
    *map(_optional, ("git_sha", "git_branch", "git_origin_url")),
    _text("cli_version", ""),
    *map(_optional, ("agent_nickname", "agent_role", "agent_path")),
    _text("memory_mode", "enabled"),
    _text("history_mode"),
    *map(_optional, ("session_id", "forked_from_id", "parent_thread_id")),
    *map(_optional, ("attached_thread_parent_id", "history_base", "rollout_name")),
    _number("rollout_name_ms", 0),
    _number("next_ordinal", 0),
    *map(_number, ("size_bytes", "mtime_ns", "inode", "flags", "extractor_version")),
    # Not generated: SQLite lets no index cover a query that reads a generated column.
    _text("facet"),
    sa.CheckConstraint(f"facet = {FACET_SQL}", name="facet"),
    sa.UniqueConstraint("id"),
    sa.CheckConstraint("archived IN (0, 1)", name="archived"),
    sa.CheckConstraint("tokens_used >= 0", name="tokens"),
    sqlite_autoincrement=False,
)
TREE_PARENT: Final = sa.func.coalesce(threads.c.parent_thread_id, threads.c.forked_from_id)
"""The thread that spawned a thread, else that which it is a fork or side thread of."""
_of_list: Final = {
    key: (threads.c.facet, threads.c[f"{key}_ms"], threads.c.id) for key in SORT_KEYS
}
_facets: Final = [sa.Index(f"ix_threads_facet_{name}", *of) for name, of in _of_list.items()]
DEFERRED_INDEXES: Final = [
    *(index for index in _facets if index.name != "ix_threads_facet_recency_at"),
    *(
        sa.Index(f"ix_threads_cwd_{name}", threads.c.cwd_key, *columns)
        for name, columns in _of_list.items()
    ),
    sa.Index(
        "ix_threads_cwd_git_origin_url",
        *(threads.c.cwd_key, threads.c.created_at_ms, threads.c.git_origin_url),
        sqlite_where=threads.c.git_origin_url != "",
    ),
    sa.Index(
        "ix_threads_tree_parent",
        TREE_PARENT,
        *_of_list["created_at"][1:],
        sqlite_where=TREE_PARENT.is_not(None),
    ),
    sa.Index("ix_threads_model", threads.c.model, *_of_list["recency_at"]),
    sa.Index("ix_threads_git_branch", threads.c.git_branch, *_of_list["recency_at"]),
    sa.Index("ix_threads_tokens_used", threads.c.tokens_used, threads.c.facet),
    sa.Index("ix_threads_size_bytes", threads.c.size_bytes, threads.c.facet),
]
"""A first backfill does without them until its end, see :mod:`state.sync.backfill`. Lists are by
``recency_at`` unless users ask for another order."""
sa.Index("ix_threads_name", threads.c.name, sqlite_where=threads.c.name.is_not(None))
sa.Index(
    "ix_threads_begins_elsewhere", threads.c.id, sqlite_where=sa.text(f"flags & {BEGINS_ELSEWHERE}")
)

thread_dynamic_tools: Final = sa.Table(
    "thread_dynamic_tools",
    metadata,
    _key("thread_id", sa.Text, "threads.id"),
    _key("position", sa.Integer),
    _optional("namespace"),
    *map(_text, ("name", "description", "input_schema")),
    _number("defer_loading", 0),
)

thread_spawn_edges: Final = sa.Table(
    "thread_spawn_edges",
    metadata,
    _key("child_thread_id", sa.Text),
    sa.Column("parent_thread_id", sa.Text, nullable=False, index=True),
    _text("status", "open"),
)


def _job(job: JobTable) -> sa.Table:
    return sa.Table(
        job.name,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        _text("status", "pending"),
        *map(_optional, job.notes),
        _optional("owner"),
        _number("fence", 0),
        _number("lease_expires_at_ms", 0),
        *(_number(counter, 0) for counter in job.counters),
        *map(_optional_number, ("started_at_ms", "updated_at_ms", "completed_at_ms")),
        _optional("last_error"),
        *(_text(name, "") for name in job.kept_texts),
        *(_number(name, 0) for name in job.kept_numbers),
        sa.CheckConstraint("id = 1", name="singleton"),
        sa.CheckConstraint("status IN ('pending', 'running', 'complete')", name="status"),
    )


backfill_state: Final = _job(BACKFILL)
fulltext_state: Final = _job(FULLTEXT)
fleet_state: Final = _job(FLEET)

_sent: Final = _key("thread_id", sa.Text), _number("sequence")
fleet_outbox: Final = sa.Table("fleet_outbox", metadata, *_sent, sqlite_with_rowid=False)


def _row_id(*, primary_key: bool) -> "sa.Column[int]":
    thread = sa.ForeignKey("threads.row_id", ondelete="CASCADE")
    return sa.Column("row_id", sa.Integer, thread, primary_key=primary_key, nullable=False)


resume_points: Final = sa.Table(
    "resume_points",
    metadata,
    _row_id(primary_key=True),
    _key("pass", sa.Text),
    _key("part", sa.Integer),
    *map(_number, ("size_bytes", "mtime_ns", "inode", "end_offset")),
    _text("guard"),
    sa.CheckConstraint("pass IN ('metadata', 'fulltext', 'turns')", name="pass"),
    sqlite_with_rowid=False,
)

fulltext_pending: Final = sa.Table("fulltext_pending", metadata, _row_id(primary_key=True))

fulltext_threads: Final = sa.Table(
    "fulltext_threads",
    metadata,
    _row_id(primary_key=True),
    *map(_text, ("files", "mode", "state", "header", "header_digest")),
    _number("version"),
    _text("digest", ""),
)
sa.Index(
    "ix_fulltext_threads_unread",
    fulltext_threads.c.row_id,
    sqlite_where=fulltext_threads.c.version == 0,
)

fulltext_documents: Final = sa.Table(
    "fulltext_documents",
    metadata,
    # Numbers are not given again: what was indexed under an old one stays until a rebuild.
    sa.Column("document_id", sa.Integer, primary_key=True),
    _row_id(primary_key=False),
    sa.Column("locations", sa.LargeBinary, nullable=False),
    sa.Column("item_keys", sa.LargeBinary, nullable=False),
    _text("item_ids", ""),
    sqlite_autoincrement=True,
)
sa.Index("ix_fulltext_documents_row_id", fulltext_documents.c.row_id)

changed_files: Final = sa.Table(
    "changed_files",
    metadata,
    sa.Column("file_id", sa.Integer, primary_key=True),
    _text("path"),
    _optional("casefolded"),
    sa.UniqueConstraint("path"),
)

file_changes: Final = sa.Table(
    "file_changes",
    metadata,
    _row_id(primary_key=True),
    _key("file_id", sa.Integer),
    _text("kind"),
    _optional_number("at_ms"),
    sa.Column("locations", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(["file_id"], ["changed_files.file_id"]),
    sa.CheckConstraint("kind IN ('A', 'M', 'D', 'R')", name="kind"),
    sqlite_with_rowid=False,
)
sa.Index("ix_file_changes_file_id", file_changes.c.file_id)

rollout_files: Final = sa.Table(
    "rollout_files",
    metadata,
    _key("path", sa.Text),
    _text("bucket"),
    *map(_optional, ("thread_id", "reason")),
    _optional_number("reason_offset"),
    _number("bad_lines", 0),
    _number("left_out", 0),
    _optional_number("left_out_at"),
    _optional("opening"),
    *map(_number, ("size_bytes", "mtime_ns", "inode")),
    _number("retry", 0),
    *map(_number, ("extractor_version", "first_seen_ms", "last_seen_ms")),
    _number("attempts", 1),
    sa.CheckConstraint(
        "bucket IN ('indexed', 'segment', 'duplicate', 'unreadable', 'ignored')", name="bucket"
    ),
)
sa.Index(
    "ix_rollout_files_thread_id",
    rollout_files.c.thread_id,
    sqlite_where=rollout_files.c.thread_id.is_not(None),
)
sa.Index(
    "ix_rollout_files_bucket",
    rollout_files.c.bucket,
    sqlite_where=rollout_files.c.bucket != "indexed",
)

file_usage: Final = sa.Table(
    "file_usage",
    metadata,
    _key("path", sa.Text, "rollout_files.path"),
    _text("sums"),
    _optional("only_here"),
    _text("state"),
    _optional_number("limits_at_ms"),
    _optional("limits"),
    _number("odd", 0),
    _optional_number("odd_at"),
)
"""Not in ``rollout_files``, which each start of the program reads whole."""
sa.Index("ix_file_usage_only_here", file_usage.c.path, sqlite_where=file_usage.c.only_here == "")

thread_usage: Final = sa.Table(
    "thread_usage",
    metadata,
    _row_id(primary_key=True),
    _key("hour", sa.Integer),
    *(_key(name, sa.Text) for name in ("model", "provider", "effort", "service_tier")),
    _key("long_context", sa.Integer),
    *map(_number, ("input", "cached_input", "cache_write", "output", "reasoning", "total")),
    _number("responses"),
    sqlite_with_rowid=False,
)

thread_limits: Final = sa.Table(
    "thread_limits", metadata, _row_id(primary_key=True), _number("at_ms"), _text("value")
)
sa.Index("ix_thread_limits_at_ms", thread_limits.c.at_ms)

usage_rates: Final = sa.Table(
    "usage_rates",
    metadata,
    *(_key(name, sa.Text) for name in ("provider", "model", "service_tier")),
    *(_key(name, sa.Integer) for name in ("long_context", "from_hour")),
    _number("until_hour"),
    _key("day_from", sa.Integer),
    _number("day_until"),
    *(
        sa.Column(f"{name}_rate", sa.REAL)
        for name in ("input", "cached_input", "cache_write", "output")
    ),
    _text("origin"),
    sqlite_with_rowid=False,
)

user_data: Final = sa.Table(
    "user_data",
    metadata,
    _key("thread_id", sa.Text),
    _key("key", sa.Text),
    _optional("value"),
    _number("set_at_ms"),
)
sa.Index(
    "ix_user_data_key",
    user_data.c.key,
    user_data.c.value,
    user_data.c.thread_id,
    sqlite_where=user_data.c.value.is_not(None),
)

codex_values: Final = sa.Table(
    "codex_values",
    metadata,
    _key("thread_id", sa.Text, "threads.id"),
    _optional("name"),
    _number("pinned", 0),
)

path_aliases: Final = sa.Table(
    "path_aliases",
    metadata,
    _key("old_key", sa.Text),
    _text("old"),
    *map(_optional, ("new", "new_key")),
    _number("set_at_ms"),
)

turn_checkpoints: Final = sa.Table(
    "turn_checkpoints",
    metadata,
    _key("thread_id", sa.Text, "threads.id"),
    _number("version"),
    *map(_text, ("files", "mode", "state")),
    _number("turns"),
    _optional("outlines"),
)

turns: Final = sa.Table(
    "turns",
    metadata,
    _key("thread_id", sa.Text, "turn_checkpoints.thread_id"),
    _key("position", sa.Integer),
    _number("orphan", 0),
    _text("id"),
    _optional("root_id"),
    _text("status"),
    _optional("error"),
    *map(_optional_number, ("started_at", "completed_at", "duration_ms")),
    *map(_number, ("explicit", "start_file", "start_offset", "start_ordinal")),
    *map(_optional_number, ("end_file", "end_offset", "end_ordinal")),
    *map(_number, ("first_user", "final_agent", "last_agent")),
    sa.Column("item_refs", sa.LargeBinary, nullable=False),
)

turn_outlines: Final = sa.Table(
    "turn_outlines",
    metadata,
    _key("thread_id", sa.Text, "turn_checkpoints.thread_id"),
    _key("position", sa.Integer),
    _number("digest"),
    _text("prompt"),
    *map(_optional, ("files", "failures")),
    _optional_number("tokens"),
    sqlite_with_rowid=False,
)

index_meta: Final = sa.Table("index_meta", metadata, _key("key", sa.Text), _text("value"))
