"""Create the index: threads, their tools and lineage, the job, the ledger and user facts."""

from alembic import op

revision = "v0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE backfill_state (
        id INTEGER NOT NULL, status TEXT DEFAULT 'pending' NOT NULL, watermark TEXT, owner TEXT,
        fence INTEGER DEFAULT 0 NOT NULL, lease_expires_at_ms INTEGER DEFAULT 0 NOT NULL,
        files_total INTEGER DEFAULT 0 NOT NULL, files_done INTEGER DEFAULT 0 NOT NULL,
        files_unreadable INTEGER DEFAULT 0 NOT NULL, threads_pruned INTEGER DEFAULT 0 NOT NULL,
        started_at_ms INTEGER, updated_at_ms INTEGER, completed_at_ms INTEGER, last_error TEXT,
        CONSTRAINT pk_backfill_state PRIMARY KEY (id),
        CONSTRAINT ck_backfill_state_singleton CHECK (id = 1),
        CONSTRAINT ck_backfill_state_status CHECK (status IN ('pending', 'running', 'complete'))
    )
    """,
    """
    CREATE TABLE index_meta (
        "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_index_meta PRIMARY KEY ("key")
    )
    """,
    """
    CREATE TABLE rollout_files (
        path TEXT NOT NULL, bucket TEXT NOT NULL, thread_id TEXT, reason TEXT,
        reason_offset INTEGER, bad_lines INTEGER DEFAULT 0 NOT NULL, size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, retry INTEGER DEFAULT 0 NOT NULL,
        extractor_version INTEGER NOT NULL, first_seen_ms INTEGER NOT NULL,
        last_seen_ms INTEGER NOT NULL, attempts INTEGER DEFAULT 1 NOT NULL,
        CONSTRAINT pk_rollout_files PRIMARY KEY (path),
        CONSTRAINT ck_rollout_files_bucket CHECK (bucket IN ('indexed', 'segment', 'duplicate', 'unreadable', 'ignored'))
    )
    """,
    "CREATE INDEX ix_rollout_files_bucket ON rollout_files (bucket) WHERE bucket != 'indexed'",
    "CREATE INDEX ix_rollout_files_thread_id ON rollout_files (thread_id) WHERE thread_id IS NOT NULL",
    """
    CREATE TABLE thread_spawn_edges (
        child_thread_id TEXT NOT NULL, parent_thread_id TEXT NOT NULL,
        status TEXT DEFAULT 'open' NOT NULL,
        CONSTRAINT pk_thread_spawn_edges PRIMARY KEY (child_thread_id)
    )
    """,
    "CREATE INDEX ix_thread_spawn_edges_parent_thread_id ON thread_spawn_edges (parent_thread_id)",
    """
    CREATE TABLE threads (
        row_id INTEGER NOT NULL, id TEXT NOT NULL, rollout_path TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL,
        recency_at_ms INTEGER NOT NULL,
        created_at INTEGER GENERATED ALWAYS AS (created_at_ms / 1000) VIRTUAL,
        updated_at INTEGER GENERATED ALWAYS AS (updated_at_ms / 1000) VIRTUAL,
        recency_at INTEGER GENERATED ALWAYS AS (recency_at_ms / 1000) VIRTUAL, source TEXT NOT NULL,
        source_kind TEXT NOT NULL, thread_source TEXT, originator TEXT,
        model_provider TEXT NOT NULL, model TEXT, reasoning_effort TEXT, cwd TEXT NOT NULL,
        cwd_key TEXT NOT NULL, title TEXT NOT NULL, name TEXT, preview TEXT DEFAULT '' NOT NULL,
        fallback_preview TEXT DEFAULT '' NOT NULL, first_user_message TEXT DEFAULT '' NOT NULL,
        search_text TEXT DEFAULT '' NOT NULL, sandbox_policy TEXT NOT NULL,
        approval_mode TEXT NOT NULL, tokens_used INTEGER DEFAULT 0 NOT NULL,
        archived INTEGER DEFAULT 0 NOT NULL, archived_at INTEGER, git_sha TEXT, git_branch TEXT,
        git_origin_url TEXT, cli_version TEXT DEFAULT '' NOT NULL, agent_nickname TEXT,
        agent_role TEXT, agent_path TEXT, memory_mode TEXT DEFAULT 'enabled' NOT NULL,
        history_mode TEXT NOT NULL, session_id TEXT, forked_from_id TEXT, parent_thread_id TEXT,
        attached_thread_parent_id TEXT, history_base TEXT, size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, folded_bytes INTEGER NOT NULL,
        guard TEXT NOT NULL, fold_flags INTEGER NOT NULL, extractor_version INTEGER NOT NULL,
        facet TEXT NOT NULL, CONSTRAINT pk_threads PRIMARY KEY (row_id),
        CONSTRAINT uq_threads_id UNIQUE (id),
        CONSTRAINT ck_threads_facet CHECK (facet = archived || (preview = '' AND fallback_preview = '' AND name IS NULL) || (attached_thread_parent_id IS NOT NULL) || '|' || source_kind || '|' || model_provider),
        CONSTRAINT ck_threads_archived CHECK (archived IN (0, 1)),
        CONSTRAINT ck_threads_tokens CHECK (tokens_used >= 0)
    )
    """,
    "CREATE INDEX ix_threads_cwd_created_at ON threads (cwd_key, facet, created_at_ms, id)",
    "CREATE INDEX ix_threads_cwd_recency_at ON threads (cwd_key, facet, recency_at_ms, id)",
    "CREATE INDEX ix_threads_cwd_updated_at ON threads (cwd_key, facet, updated_at_ms, id)",
    "CREATE INDEX ix_threads_facet_created_at ON threads (facet, created_at_ms, id)",
    "CREATE INDEX ix_threads_facet_recency_at ON threads (facet, recency_at_ms, id)",
    "CREATE INDEX ix_threads_facet_updated_at ON threads (facet, updated_at_ms, id)",
    "CREATE INDEX ix_threads_name ON threads (name) WHERE name IS NOT NULL",
    """
    CREATE TABLE user_facts (
        thread_id TEXT NOT NULL, "key" TEXT NOT NULL, value TEXT, set_at_ms INTEGER NOT NULL,
        CONSTRAINT pk_user_facts PRIMARY KEY (thread_id, "key")
    )
    """,
    """
    CREATE TABLE thread_dynamic_tools (
        thread_id TEXT NOT NULL, position INTEGER NOT NULL, namespace TEXT, name TEXT NOT NULL,
        description TEXT NOT NULL, input_schema TEXT NOT NULL,
        defer_loading INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT pk_thread_dynamic_tools PRIMARY KEY (thread_id, position),
        CONSTRAINT fk_thread_dynamic_tools_thread_id FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TRIGGER history_mode_is_immutable
    BEFORE UPDATE OF history_mode ON threads
    WHEN new.history_mode IS NOT old.history_mode
    BEGIN SELECT RAISE(ABORT, 'history_mode of a thread never changes'); END
    """,
    """
    CREATE TRIGGER dynamic_tools_are_immutable
    BEFORE UPDATE ON thread_dynamic_tools
    BEGIN SELECT RAISE(ABORT, 'dynamic tools of a thread never change'); END
    """,
    """
    CREATE VIRTUAL TABLE thread_titles
    USING fts5(
        search_text,
        content='threads', content_rowid='row_id', tokenize='trigram', detail='none')
    """,
    "INSERT INTO backfill_state (id) VALUES (1)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
