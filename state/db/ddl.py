"""Triggers, virtual tables and views: what SQLAlchemy cannot declare."""

import sqlite3
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from state.db.job_table import MESSAGES
from state.db.location import HEAD
from state.db.schema import metadata, threads
from state.db.usage_sql import COST, RATES_JOIN

# No OR IGNORE: an upsert forces its own conflict clause on the statements of its triggers.
_NOTE_PENDING: Final = (
    "INSERT INTO fulltext_pending SELECT new.row_id"
    " WHERE NOT EXISTS (SELECT 1 FROM fulltext_pending WHERE row_id = new.row_id)"
)


_JOINED: Final = "(SELECT joined FROM fleet_state)"
_UPSERT_NOTE: Final = "ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence; END"


def _note(thread_id: str) -> str:
    """Note a thread that has changed, or is gone."""
    return (
        f"BEGIN INSERT INTO fleet_outbox SELECT {thread_id}, sequence FROM fleet_state"
        f" WHERE true {_UPSERT_NOTE}"
    )


def _note_row(row_id: str) -> str:
    """Note the thread of a row, if it is still there: what depends on it goes after it."""
    return (
        "BEGIN INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM threads t, fleet_state f"
        f" WHERE t.row_id = {row_id} {_UPSERT_NOTE}"
    )


# Numbers of this machine and of this program alone.
_LOCAL: Final = {"row_id", "inode", "extractor_version"}
_PUSHED: Final = [c.name for c in threads.columns if c.computed is None and c.name not in _LOCAL]


def _changed(*columns: str) -> str:
    old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("old", "new"))
    return f" AND ({old}) IS NOT ({new})"


_WITH_MESSAGES: Final = f" >= {MESSAGES}"
FLEET_TRIGGERS: Final = tuple(
    f"CREATE TRIGGER fleet_{table}_{event.lower()} AFTER {event} ON {table}"
    f" WHEN {_JOINED}{condition} {note}"
    for table, event, condition, note in (
        ("threads", "INSERT", "", _note("new.id")),
        ("threads", "UPDATE", _changed(*_PUSHED), _note("new.id")),
        ("threads", "DELETE", "", _note("old.id")),
        ("user_data", "INSERT", "", _note("new.thread_id")),
        ("user_data", "UPDATE", _changed("value", "set_at_ms"), _note("new.thread_id")),
        ("user_data", "DELETE", "", _note("old.thread_id")),
        *(
            ("thread_spawn_edges", event, condition, _note(f"{row}.child_thread_id"))
            for event, condition, row in (
                ("INSERT", "", "new"),
                ("UPDATE", _changed("parent_thread_id", "status"), "new"),
                ("DELETE", "", "old"),
            )
        ),
        *(
            (table, event, "", _note_row(f"{row}.row_id"))
            for table in ("thread_usage", "thread_limits")
            for event, row in (("INSERT", "new"), ("DELETE", "old"))
        ),
        ("fulltext_threads", "INSERT", _WITH_MESSAGES, _note_row("new.row_id")),
        ("fulltext_threads", "UPDATE", _WITH_MESSAGES, _note_row("new.row_id")),
    )
)
"""Note changes for the next push, in their own transactions, once a fleet is joined. Where none
is, each costs a look at a table of one row."""


TRIGGERS_AND_SEARCH: Final = (
    "CREATE TRIGGER history_mode_is_immutable BEFORE UPDATE OF history_mode ON threads"
    " WHEN new.history_mode IS NOT old.history_mode"
    " BEGIN SELECT RAISE(ABORT, 'history_mode of a thread never changes'); END",
    "CREATE TRIGGER dynamic_tools_are_immutable BEFORE UPDATE ON thread_dynamic_tools"
    " BEGIN SELECT RAISE(ABORT, 'dynamic tools of a thread never change'); END",
    "CREATE VIRTUAL TABLE thread_titles USING fts5("
    "search_text, content='threads', content_rowid='row_id', tokenize='trigram', detail='none')",
    "INSERT INTO backfill_state (id) VALUES (1)",
    f"CREATE TRIGGER new_threads_are_pending AFTER INSERT ON threads BEGIN {_NOTE_PENDING}; END",
    "CREATE TRIGGER changed_threads_are_pending AFTER UPDATE OF"
    " rollout_path, size_bytes, mtime_ns, inode, name, title, preview ON threads WHEN"
    " (old.rollout_path, old.size_bytes, old.mtime_ns, old.inode, old.name, old.title, old.preview)"
    " IS NOT"
    " (new.rollout_path, new.size_bytes, new.mtime_ns, new.inode, new.name, new.title, new.preview)"
    f" BEGIN {_NOTE_PENDING}; END",
    # The column has the name that it was made with: FTS5 renames no column.
    "CREATE VIRTUAL TABLE fulltext_trigrams USING fts5(letters, content='', columnsize=0,"
    " tokenize='trigram case_sensitive 1', detail='none')",
    "INSERT INTO fulltext_state (id) VALUES (1)",
    "CREATE TRIGGER files_go_with_their_last_change AFTER DELETE ON file_changes"
    " WHEN NOT EXISTS (SELECT 1 FROM file_changes WHERE file_id = old.file_id)"
    " BEGIN DELETE FROM changed_files WHERE file_id = old.file_id; END",
    # Before and after all hours: state.prices.rate has the numbers.
    "CREATE TRIGGER new_models_have_rates_due AFTER INSERT ON thread_usage WHEN NOT EXISTS"
    " (SELECT 1 FROM usage_rates WHERE (provider, model, service_tier, long_context)"
    " = (new.provider, new.model, new.service_tier, new.long_context))"
    " BEGIN INSERT INTO usage_rates VALUES (new.provider, new.model, new.service_tier,"
    " new.long_context, -1000000000, 1000000000, 0, 24, NULL, NULL, NULL, NULL, 'due'); END",
    "INSERT INTO fleet_state (id) VALUES (1)",
    *FLEET_TRIGGERS,
)
"""What ``metadata`` cannot declare. The migrations have copies of their own."""


def _iso(column: str, per_second: int, name: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column} / {per_second}, 'unixepoch') AS {name}"


def _set_by_user(key: str) -> str:
    return f"(SELECT value FROM user_data WHERE thread_id = threads.id AND \"key\" = '{key}')"


_TAGS: Final = (
    "(SELECT group_concat(tag, ',') FROM (SELECT substr(\"key\", 5) AS tag FROM user_data"
    " WHERE thread_id = threads.id AND \"key\" >= 'tag:' AND \"key\" < 'tag;'"
    ' AND value IS NOT NULL ORDER BY "key"))'
)
_PROVIDER: Final = "CASE u.provider WHEN '' THEN t.model_provider ELSE u.provider END"
_HOUR: Final = "strftime('%Y-%m-%dT%H:%M:%SZ', u.hour * 3600, 'unixepoch')"

VIEWS: Final = (
    # What is hidden by default, by the words of ``list``: see state.query.model.Hidden.
    "CREATE VIEW v_threads AS SELECT id, name, title,"
    " CASE preview WHEN '' THEN fallback_preview ELSE preview END AS preview, cwd,"
    f" {_iso('created_at_ms', 1000, 'created')}, {_iso('updated_at_ms', 1000, 'updated')},"
    f" {_iso('recency_at_ms', 1000, 'last_used')}, created_at_ms, updated_at_ms, recency_at_ms,"
    " source, source_kind, originator, cli_version, model_provider AS provider, model,"
    " reasoning_effort AS effort, tokens_used AS tokens, archived,"
    " CASE WHEN archived THEN 'archived'"
    " WHEN preview = '' AND fallback_preview = '' AND name IS NULL THEN 'empty'"
    " WHEN source_kind NOT IN ('cli', 'vscode', 'custom:atlas', 'custom:chatgpt') THEN 'source'"
    " WHEN attached_thread_parent_id IS NOT NULL THEN 'attached' END AS hidden,"
    " git_branch, git_sha, git_origin_url AS git_origin, history_mode, session_id,"
    " forked_from_id, parent_thread_id AS parent_id,"
    " attached_thread_parent_id AS attached_to_id, rollout_path AS path, size_bytes,"
    f" {_set_by_user('pinned')} IS NOT NULL AS pinned, {_set_by_user('status')} AS status,"
    f" {_TAGS} AS tags, {_set_by_user('note')} AS note FROM threads",
    "CREATE VIEW v_files AS SELECT path, bucket, thread_id, reason, reason_offset, bad_lines,"
    f" size_bytes, {_iso('mtime_ns', 1_000_000_000, 'modified')},"
    f" {_iso('first_seen_ms', 1000, 'first_seen')}, {_iso('last_seen_ms', 1000, 'last_seen')},"
    " attempts FROM rollout_files",
    "CREATE VIEW v_tools AS SELECT thread_id, position, namespace, name, description,"
    " input_schema FROM thread_dynamic_tools",
    "CREATE VIEW v_edges AS SELECT parent_thread_id AS parent_id, child_thread_id AS child_id,"
    " status FROM thread_spawn_edges",
    f'CREATE VIEW v_user_data AS SELECT thread_id, "key", value,'
    f" {_iso('set_at_ms', 1000, 'set_at')}, set_at_ms FROM user_data WHERE value IS NOT NULL",
    'CREATE VIEW v_tags AS SELECT thread_id, substr("key", 5) AS tag,'
    f" {_iso('set_at_ms', 1000, 'set_at')}, set_at_ms FROM user_data"
    """ WHERE "key" >= 'tag:' AND "key" < 'tag;' AND value IS NOT NULL""",
    f"CREATE VIEW v_aliases AS SELECT old, new, {_iso('set_at_ms', 1000, 'set_at')}, set_at_ms"
    " FROM path_aliases WHERE new IS NOT NULL",
    f"CREATE VIEW v_usage AS SELECT t.id AS thread_id, {_HOUR} AS hour,"
    f" u.hour AS hour_number, u.model, {_PROVIDER} AS provider, u.effort, u.service_tier,"
    " u.long_context, u.input, u.cached_input, u.cache_write, u.output, u.reasoning, u.total,"
    f" u.responses, {COST} AS cost"
    f" FROM thread_usage u JOIN threads t ON t.row_id = u.row_id {RATES_JOIN}",
    "CREATE VIEW v_thread_usage AS SELECT thread_id, sum(input) AS input,"
    " sum(cached_input) AS cached_input, sum(cache_write) AS cache_write, sum(output) AS output,"
    " sum(reasoning) AS reasoning, sum(total) AS total, sum(responses) AS responses,"
    " sum(cost) AS cost, sum(iif(cost IS NULL, total, 0)) AS unpriced_tokens"
    " FROM v_usage GROUP BY thread_id",
)
"""For people who query in SQL: plain names, times as text; see ``docs/schema.md``."""


_STAMP: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
    f"INSERT INTO alembic_version VALUES ('{HEAD}')",
)


def create_schema(connection: sqlite3.Connection) -> None:
    """Create all tables, triggers and views of an empty index in its newest form, which the
    migrations lead to as well: to run those takes as long as to read a hundred files."""
    for statement in (*_tables(), *TRIGGERS_AND_SEARCH, *VIEWS, *_STAMP):
        connection.execute(statement)


def _tables() -> Iterator[str]:
    dialect = sqlite.dialect()
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            yield index_sql(index)


def index_sql(index: sa.Index) -> str:
    """The statement that creates an index, unless it is there."""
    return str(CreateIndex(index, if_not_exists=True).compile(dialect=sqlite.dialect()))
