"""Add path aliases, and views with plain names for people who ask in SQL."""

from alembic import op

revision = "v0002"
down_revision = "v0001"

STATEMENTS = (
    """
    CREATE TABLE path_aliases (
        old_key TEXT NOT NULL, old TEXT NOT NULL, new TEXT, new_key TEXT,
        set_at_ms INTEGER NOT NULL, CONSTRAINT pk_path_aliases PRIMARY KEY (old_key)
    )
    """,
    """
    CREATE VIEW v_threads AS SELECT
    id, name, title,
    CASE preview WHEN '' THEN fallback_preview ELSE preview END AS preview,
    cwd,
    strftime('%Y-%m-%dT%H:%M:%SZ', created_at_ms / 1000, 'unixepoch') AS created,
    strftime('%Y-%m-%dT%H:%M:%SZ', updated_at_ms / 1000, 'unixepoch') AS updated,
    strftime('%Y-%m-%dT%H:%M:%SZ', recency_at_ms / 1000, 'unixepoch') AS last_used,
    created_at_ms, updated_at_ms, recency_at_ms,
    source, source_kind, originator, cli_version,
    model_provider AS provider, model, reasoning_effort AS effort, tokens_used AS tokens,
    archived,
    CASE
    WHEN archived THEN 'archived'
    WHEN preview = '' AND fallback_preview = '' AND name IS NULL THEN 'empty'
    WHEN source_kind NOT IN ('cli', 'vscode', 'custom:atlas', 'custom:chatgpt') THEN 'source'
    WHEN attached_thread_parent_id IS NOT NULL THEN 'attached'
    END AS hidden,
    git_branch, git_sha, git_origin_url AS git_origin,
    history_mode, session_id, forked_from_id, parent_thread_id AS parent_id,
    attached_thread_parent_id AS attached_to_id,
    rollout_path AS path, size_bytes
    FROM threads
    """,
    """
    CREATE VIEW v_files AS SELECT
    path, bucket, thread_id, reason, reason_offset, bad_lines, size_bytes,
    strftime('%Y-%m-%dT%H:%M:%SZ', mtime_ns / 1000000000, 'unixepoch') AS modified,
    strftime('%Y-%m-%dT%H:%M:%SZ', first_seen_ms / 1000, 'unixepoch') AS first_seen,
    strftime('%Y-%m-%dT%H:%M:%SZ', last_seen_ms / 1000, 'unixepoch') AS last_seen,
    attempts
    FROM rollout_files
    """,
    """
    CREATE VIEW v_tools AS SELECT
    thread_id, position, namespace, name, description, input_schema
    FROM thread_dynamic_tools
    """,
    """
    CREATE VIEW v_edges AS SELECT
    parent_thread_id AS parent_id, child_thread_id AS child_id, status
    FROM thread_spawn_edges
    """,
    """
    CREATE VIEW v_facts AS SELECT
    thread_id, "key", value,
    strftime('%Y-%m-%dT%H:%M:%SZ', set_at_ms / 1000, 'unixepoch') AS set_at,
    set_at_ms
    FROM user_facts WHERE value IS NOT NULL
    """,
    """
    CREATE VIEW v_aliases AS SELECT
    old, new,
    strftime('%Y-%m-%dT%H:%M:%SZ', set_at_ms / 1000, 'unixepoch') AS set_at,
    set_at_ms
    FROM path_aliases WHERE new IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
