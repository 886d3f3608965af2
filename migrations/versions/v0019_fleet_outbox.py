"""Note which threads have changed since the last push into a fleet."""

from alembic import op

revision = "v0019"
down_revision = "v0018"

STATEMENTS = (
    """
    CREATE TABLE fleet_state (
        id INTEGER NOT NULL, status TEXT DEFAULT 'pending' NOT NULL, owner TEXT,
        fence INTEGER DEFAULT 0 NOT NULL, lease_expires_at_ms INTEGER DEFAULT 0 NOT NULL,
        threads_total INTEGER DEFAULT 0 NOT NULL, threads_done INTEGER DEFAULT 0 NOT NULL,
        started_at_ms INTEGER, updated_at_ms INTEGER, completed_at_ms INTEGER, last_error TEXT,
        fleet TEXT DEFAULT '' NOT NULL, level TEXT DEFAULT '' NOT NULL,
        exclusions TEXT DEFAULT '' NOT NULL, epoch_key TEXT DEFAULT '' NOT NULL,
        place TEXT DEFAULT '' NOT NULL, joined INTEGER DEFAULT 0 NOT NULL,
        epoch INTEGER DEFAULT 0 NOT NULL, sequence INTEGER DEFAULT 0 NOT NULL,
        watermark INTEGER DEFAULT 0 NOT NULL, sweep INTEGER DEFAULT 0 NOT NULL,
        pushed_at_ms INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT pk_fleet_state PRIMARY KEY (id),
        CONSTRAINT ck_fleet_state_singleton CHECK (id = 1),
        CONSTRAINT ck_fleet_state_status CHECK (status IN ('pending', 'running', 'complete'))
    )
    """,
    """
    CREATE TABLE fleet_outbox (
        thread_id TEXT NOT NULL, sequence INTEGER NOT NULL,
        CONSTRAINT pk_fleet_outbox PRIMARY KEY (thread_id)
    ) WITHOUT ROWID
    """,
    "INSERT INTO fleet_state (id) VALUES (1)",
    """
    CREATE TRIGGER fleet_threads_insert AFTER INSERT ON threads
    WHEN (SELECT joined FROM
    fleet_state) BEGIN INSERT INTO fleet_outbox SELECT new.id, sequence FROM fleet_state WHERE
    true ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_threads_update AFTER UPDATE ON threads
    WHEN (SELECT joined FROM
    fleet_state) AND (old.id, old.rollout_path, old.created_at_ms, old.updated_at_ms,
    old.recency_at_ms, old.source, old.source_kind, old.thread_source, old.originator,
    old.model_provider, old.model, old.reasoning_effort, old.cwd, old.cwd_key, old.title,
    old.name, old.preview, old.fallback_preview, old.first_user_message, old.search_text,
    old.sandbox_policy, old.approval_mode, old.tokens_used, old.archived, old.archived_at,
    old.git_sha, old.git_branch, old.git_origin_url, old.cli_version, old.agent_nickname,
    old.agent_role, old.agent_path, old.memory_mode, old.history_mode, old.session_id,
    old.forked_from_id, old.parent_thread_id, old.attached_thread_parent_id, old.history_base,
    old.rollout_name, old.rollout_name_ms, old.next_ordinal, old.size_bytes, old.mtime_ns,
    old.flags, old.facet) IS NOT (new.id, new.rollout_path, new.created_at_ms, new.updated_at_ms,
    new.recency_at_ms, new.source, new.source_kind, new.thread_source, new.originator,
    new.model_provider, new.model, new.reasoning_effort, new.cwd, new.cwd_key, new.title,
    new.name, new.preview, new.fallback_preview, new.first_user_message, new.search_text,
    new.sandbox_policy, new.approval_mode, new.tokens_used, new.archived, new.archived_at,
    new.git_sha, new.git_branch, new.git_origin_url, new.cli_version, new.agent_nickname,
    new.agent_role, new.agent_path, new.memory_mode, new.history_mode, new.session_id,
    new.forked_from_id, new.parent_thread_id, new.attached_thread_parent_id, new.history_base,
    new.rollout_name, new.rollout_name_ms, new.next_ordinal, new.size_bytes, new.mtime_ns,
    new.flags, new.facet) BEGIN INSERT INTO fleet_outbox SELECT new.id, sequence FROM fleet_state
    WHERE true ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_threads_delete AFTER DELETE ON threads
    WHEN (SELECT joined FROM
    fleet_state) BEGIN INSERT INTO fleet_outbox SELECT old.id, sequence FROM fleet_state WHERE
    true ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_user_data_insert AFTER INSERT ON user_data
    WHEN (SELECT joined FROM
    fleet_state) BEGIN INSERT INTO fleet_outbox SELECT new.thread_id, sequence FROM fleet_state
    WHERE true ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_user_data_update AFTER UPDATE ON user_data
    WHEN (SELECT joined FROM
    fleet_state) AND (old.value, old.set_at_ms) IS NOT (new.value, new.set_at_ms) BEGIN INSERT
    INTO fleet_outbox SELECT new.thread_id, sequence FROM fleet_state WHERE true ON CONFLICT
    (thread_id) DO UPDATE SET sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_user_data_delete AFTER DELETE ON user_data
    WHEN (SELECT joined FROM
    fleet_state) BEGIN INSERT INTO fleet_outbox SELECT old.thread_id, sequence FROM fleet_state
    WHERE true ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_spawn_edges_insert AFTER INSERT ON thread_spawn_edges
    WHEN
    (SELECT joined FROM fleet_state) BEGIN INSERT INTO fleet_outbox SELECT new.child_thread_id,
    sequence FROM fleet_state WHERE true ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_spawn_edges_update AFTER UPDATE ON thread_spawn_edges
    WHEN
    (SELECT joined FROM fleet_state) AND (old.parent_thread_id, old.status) IS NOT
    (new.parent_thread_id, new.status) BEGIN INSERT INTO fleet_outbox SELECT new.child_thread_id,
    sequence FROM fleet_state WHERE true ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_spawn_edges_delete AFTER DELETE ON thread_spawn_edges
    WHEN
    (SELECT joined FROM fleet_state) BEGIN INSERT INTO fleet_outbox SELECT old.child_thread_id,
    sequence FROM fleet_state WHERE true ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_usage_insert AFTER INSERT ON thread_usage
    WHEN (SELECT joined
    FROM fleet_state) BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM threads t,
    fleet_state f WHERE t.row_id = new.row_id ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_usage_delete AFTER DELETE ON thread_usage
    WHEN (SELECT joined
    FROM fleet_state) BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM threads t,
    fleet_state f WHERE t.row_id = old.row_id ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_limits_insert AFTER INSERT ON thread_limits
    WHEN (SELECT joined
    FROM fleet_state) BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM threads t,
    fleet_state f WHERE t.row_id = new.row_id ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_thread_limits_delete AFTER DELETE ON thread_limits
    WHEN (SELECT joined
    FROM fleet_state) BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM threads t,
    fleet_state f WHERE t.row_id = old.row_id ON CONFLICT (thread_id) DO UPDATE SET sequence =
    excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_fulltext_threads_insert AFTER INSERT ON fulltext_threads
    WHEN (SELECT
    joined FROM fleet_state) >= 2 BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM
    threads t, fleet_state f WHERE t.row_id = new.row_id ON CONFLICT (thread_id) DO UPDATE SET
    sequence = excluded.sequence; END
    """,
    """
    CREATE TRIGGER fleet_fulltext_threads_update AFTER UPDATE ON fulltext_threads
    WHEN (SELECT
    joined FROM fleet_state) >= 2 BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM
    threads t, fleet_state f WHERE t.row_id = new.row_id ON CONFLICT (thread_id) DO UPDATE SET
    sequence = excluded.sequence; END
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
