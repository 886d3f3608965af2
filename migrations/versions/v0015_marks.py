"""Add the index of tags, pins and statuses, and show them in the views."""

from alembic import op

revision = "v0015"
down_revision = "v0014"

STATEMENTS = (
    "CREATE INDEX ix_user_data_key ON user_data (key, value, thread_id) WHERE value IS NOT NULL",
    "DROP VIEW v_threads",
    "CREATE VIEW v_threads AS SELECT id, name, title, CASE preview WHEN '' THEN"
    " fallback_preview ELSE preview END AS preview, cwd, strftime('%Y-%m-%dT%H:%M:%SZ',"
    " created_at_ms / 1000, 'unixepoch') AS created, strftime('%Y-%m-%dT%H:%M:%SZ',"
    " updated_at_ms / 1000, 'unixepoch') AS updated, strftime('%Y-%m-%dT%H:%M:%SZ',"
    " recency_at_ms / 1000, 'unixepoch') AS last_used, created_at_ms, updated_at_ms,"
    " recency_at_ms, source, source_kind, originator, cli_version, model_provider AS"
    " provider, model, reasoning_effort AS effort, tokens_used AS tokens, archived, CASE"
    " WHEN archived THEN 'archived' WHEN preview = '' AND fallback_preview = '' AND name IS"
    " NULL THEN 'empty' WHEN source_kind NOT IN ('cli', 'vscode', 'custom:atlas',"
    " 'custom:chatgpt') THEN 'source' WHEN attached_thread_parent_id IS NOT NULL THEN"
    " 'attached' END AS hidden, git_branch, git_sha, git_origin_url AS git_origin,"
    " history_mode, session_id, forked_from_id, parent_thread_id AS parent_id,"
    " attached_thread_parent_id AS attached_to_id, rollout_path AS path, size_bytes, (SELECT"
    """ value FROM user_data WHERE thread_id = threads.id AND "key" = 'pinned') IS NOT NULL AS"""
    ' pinned, (SELECT value FROM user_data WHERE thread_id = threads.id AND "key" ='
    """ 'status') AS status, (SELECT group_concat(tag, ',') FROM (SELECT substr("key", 5) AS"""
    """ tag FROM user_data WHERE thread_id = threads.id AND "key" >= 'tag:' AND "key" < 'tag;'"""
    ' AND value IS NOT NULL ORDER BY "key")) AS tags, (SELECT value FROM user_data WHERE'
    """ thread_id = threads.id AND "key" = 'note') AS note FROM threads""",
    'CREATE VIEW v_tags AS SELECT thread_id, substr("key", 5) AS tag,'
    " strftime('%Y-%m-%dT%H:%M:%SZ', set_at_ms / 1000, 'unixepoch') AS set_at, set_at_ms"
    """ FROM user_data WHERE "key" >= 'tag:' AND "key" < 'tag;' AND value IS NOT NULL""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
