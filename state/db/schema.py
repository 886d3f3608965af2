"""Tables of the index, in SQLAlchemy Core. ``docs/schema.md`` tells what each column means.

Columns that Codex's own ``threads`` table has keep its names, units and values
(docs/schema.md#threads); ``rollout_path`` is relative to the home here.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from rollout.metadata.model import BEGINS_ELSEWHERE
from state.db.derived_columns import SORT_KEYS
from state.db.location import HEAD

__all__ = ["HEAD", "metadata"]

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


def _seconds(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, sa.Computed(f"{name}_ms / 1000", persisted=False))


threads: Final = sa.Table(
    "threads",
    metadata,
    # Explicit, because the title search refers to rows by it and VACUUM renumbers others.
    sa.Column("row_id", sa.Integer, primary_key=True),
    _text("id"),
    _text("rollout_path"),
    _number("created_at_ms"),
    _number("updated_at_ms"),
    _number("recency_at_ms"),
    _seconds("created_at"),
    _seconds("updated_at"),
    _seconds("recency_at"),
    _text("source"),
    _text("source_kind"),
    _optional("thread_source"),
    _optional("originator"),
    _text("model_provider"),
    _optional("model"),
    _optional("reasoning_effort"),
    _text("cwd"),
    _text("cwd_key"),
    _text("title"),
    _optional("name"),
    _text("preview", ""),
    _text("fallback_preview", ""),
    _text("first_user_message", ""),
    _text("search_text", ""),
    _text("sandbox_policy"),
    _text("approval_mode"),
    _number("tokens_used", 0),
    _number("archived", 0),
    sa.Column("archived_at", sa.Integer),
    _optional("git_sha"),
    _optional("git_branch"),
    _optional("git_origin_url"),
    _text("cli_version", ""),
    _optional("agent_nickname"),
    _optional("agent_role"),
    _optional("agent_path"),
    _text("memory_mode", "enabled"),
    _text("history_mode"),
    _optional("session_id"),
    _optional("forked_from_id"),
    _optional("parent_thread_id"),
    _optional("attached_thread_parent_id"),
    _optional("history_base"),
    _optional("rollout_name"),
    _number("rollout_name_ms", 0),
    _number("next_ordinal", 0),
    _number("size_bytes"),
    _number("mtime_ns"),
    _number("inode"),
    _number("flags"),
    _number("extractor_version"),
    # Not generated: SQLite lets no index cover a query that reads a generated column.
    _text("facet"),
    sa.CheckConstraint(f"facet = {FACET_SQL}", name="facet"),
    sa.UniqueConstraint("id"),
    sa.CheckConstraint("archived IN (0, 1)", name="archived"),
    sa.CheckConstraint("tokens_used >= 0", name="tokens"),
    sqlite_autoincrement=False,
)
for _key in SORT_KEYS:
    sa.Index(f"ix_threads_facet_{_key}", threads.c.facet, threads.c[f"{_key}_ms"], threads.c.id)
CWD_INDEXES: Final = [
    sa.Index(
        f"ix_threads_cwd_{key}",
        threads.c.cwd_key,
        threads.c.facet,
        threads.c[f"{key}_ms"],
        threads.c.id,
    )
    for key in SORT_KEYS
]
"""A first backfill does without them until its end, see :mod:`state.sync.backfill`."""
sa.Index("ix_threads_name", threads.c.name, sqlite_where=threads.c.name.is_not(None))
sa.Index(
    "ix_threads_begins_elsewhere", threads.c.id, sqlite_where=sa.text(f"flags & {BEGINS_ELSEWHERE}")
)

thread_dynamic_tools: Final = sa.Table(
    "thread_dynamic_tools",
    metadata,
    sa.Column(
        "thread_id",
        sa.Text,
        sa.ForeignKey("threads.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    sa.Column("position", sa.Integer, primary_key=True, nullable=False),
    _optional("namespace"),
    _text("name"),
    _text("description"),
    _text("input_schema"),
    _number("defer_loading", 0),
)

thread_spawn_edges: Final = sa.Table(
    "thread_spawn_edges",
    metadata,
    sa.Column("child_thread_id", sa.Text, primary_key=True, nullable=False),
    sa.Column("parent_thread_id", sa.Text, nullable=False, index=True),
    _text("status", "open"),
)


def _job(name: str, counters: Sequence[str], *more: "sa.Column[Any]") -> sa.Table:
    """The table whose one row is how a leased job stands: see :mod:`state.jobs.lease`."""
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        _text("status", "pending"),
        *more,
        _optional("owner"),
        _number("fence", 0),
        _number("lease_expires_at_ms", 0),
        *(_number(counter, 0) for counter in counters),
        sa.Column("started_at_ms", sa.Integer),
        sa.Column("updated_at_ms", sa.Integer),
        sa.Column("completed_at_ms", sa.Integer),
        _optional("last_error"),
        sa.CheckConstraint("id = 1", name="singleton"),
        sa.CheckConstraint("status IN ('pending', 'running', 'complete')", name="status"),
    )


backfill_state: Final = _job(
    "backfill_state",
    ("files_total", "files_done", "files_unreadable", "threads_pruned"),
    _optional("watermark"),
)
fulltext_state: Final = _job("fulltext_state", ("threads_total", "threads_done"))


def _row_id(*, primary_key: bool) -> "sa.Column[int]":
    thread = sa.ForeignKey("threads.row_id", ondelete="CASCADE")
    return sa.Column("row_id", sa.Integer, thread, primary_key=primary_key, nullable=False)


resume_points: Final = sa.Table(
    "resume_points",
    metadata,
    _row_id(primary_key=True),
    sa.Column("pass", sa.Text, primary_key=True, nullable=False),
    sa.Column("part", sa.Integer, primary_key=True, nullable=False),
    _number("size_bytes"),
    _number("mtime_ns"),
    _number("inode"),
    _number("end_offset"),
    _text("guard"),
    sa.CheckConstraint("pass IN ('metadata', 'fulltext', 'turns')", name="pass"),
    sqlite_with_rowid=False,
)

fulltext_pending: Final = sa.Table("fulltext_pending", metadata, _row_id(primary_key=True))

fulltext_threads: Final = sa.Table(
    "fulltext_threads",
    metadata,
    _row_id(primary_key=True),
    _text("files"),
    _text("mode"),
    _text("state"),
    _text("header"),
    _text("header_digest"),
    _number("version"),
    _text("digest", ""),
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

rollout_files: Final = sa.Table(
    "rollout_files",
    metadata,
    sa.Column("path", sa.Text, primary_key=True, nullable=False),
    _text("bucket"),
    _optional("thread_id"),
    _optional("reason"),
    sa.Column("reason_offset", sa.Integer),
    _number("bad_lines", 0),
    _number("left_out", 0),
    sa.Column("left_out_at", sa.Integer),
    _optional("opening"),
    _number("size_bytes"),
    _number("mtime_ns"),
    _number("inode"),
    _number("retry", 0),
    _number("extractor_version"),
    _number("first_seen_ms"),
    _number("last_seen_ms"),
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

user_data: Final = sa.Table(
    "user_data",
    metadata,
    sa.Column("thread_id", sa.Text, primary_key=True, nullable=False),
    sa.Column("key", sa.Text, primary_key=True, nullable=False),
    _optional("value"),
    _number("set_at_ms"),
)

path_aliases: Final = sa.Table(
    "path_aliases",
    metadata,
    sa.Column("old_key", sa.Text, primary_key=True, nullable=False),
    _text("old"),
    _optional("new"),
    _optional("new_key"),
    _number("set_at_ms"),
)

turn_checkpoints: Final = sa.Table(
    "turn_checkpoints",
    metadata,
    sa.Column(
        "thread_id",
        sa.Text,
        sa.ForeignKey("threads.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    _number("version"),
    _text("files"),
    _text("mode"),
    _text("state"),
    _number("turns"),
)

turns: Final = sa.Table(
    "turns",
    metadata,
    sa.Column(
        "thread_id",
        sa.Text,
        sa.ForeignKey("turn_checkpoints.thread_id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    sa.Column("position", sa.Integer, primary_key=True, nullable=False),
    _number("orphan", 0),
    _text("id"),
    _optional("root_id"),
    _text("status"),
    _optional("error"),
    sa.Column("started_at", sa.Integer),
    sa.Column("completed_at", sa.Integer),
    sa.Column("duration_ms", sa.Integer),
    _number("explicit"),
    _number("start_file"),
    _number("start_offset"),
    _number("start_ordinal"),
    sa.Column("end_file", sa.Integer),
    sa.Column("end_offset", sa.Integer),
    sa.Column("end_ordinal", sa.Integer),
    _number("first_user"),
    _number("final_agent"),
    _number("last_agent"),
    sa.Column("item_refs", sa.LargeBinary, nullable=False),
)

index_meta: Final = sa.Table(
    "index_meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True, nullable=False),
    _text("value"),
)
