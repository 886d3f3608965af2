"""Name tables, columns and triggers by the usual words, keep what searches need of messages, and
put where all passes over files ended into one table.

Tables are made anew and filled from the old ones, as their constraints have the old names, too.
Rows of threads that are gone, which only another program can have left, are not copied.
"""

from alembic import op

revision = "v0010"
down_revision = "v0009"

STATEMENTS = (
    "DROP TRIGGER said_by_new_threads",
    "DROP TRIGGER said_by_changed_threads",
    "DROP VIEW v_facts",
    """
    CREATE TABLE resume_points (
        row_id INTEGER NOT NULL, pass TEXT NOT NULL, part INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
        end_offset INTEGER NOT NULL, guard TEXT NOT NULL,
        CONSTRAINT pk_resume_points PRIMARY KEY (row_id, pass, part),
        CONSTRAINT fk_resume_points_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE,
        CONSTRAINT ck_resume_points_pass CHECK (pass IN ('metadata', 'fulltext', 'turns'))
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO resume_points
    SELECT row_id, 'metadata', 0, size_bytes, mtime_ns, inode, folded_bytes, guard FROM threads
    """,
    # The size and time of what was read are those of the row, if it has not changed since. Else
    # the file may have grown if it is not shorter than what was read.
    """
    INSERT INTO resume_points SELECT
    row_id, 'fulltext', 0, iif(p.row_id IS NULL, t.size_bytes, s.end_offset - 1),
    iif(p.row_id IS NULL, t.mtime_ns, 0), s.inode, s.end_offset, s.guard
    FROM said_threads s JOIN threads t USING (row_id) LEFT JOIN said_pending p USING (row_id)
    """,
    # What is not as it was written is left out, and its turns are found anew.
    """
    INSERT OR IGNORE INTO resume_points SELECT
    t.row_id, 'turns', f."key", f.value ->> 'size', f.value ->> 'mtime_ns', f.value ->> 'inode',
    f.value ->> 'end', f.value ->> 'guard'
    FROM turn_folds c JOIN threads t ON t.id = c.thread_id,
    json_each(iif(json_valid(c.files), c.files, '[]')) f
    WHERE f.type = 'object' AND typeof(f."key") = 'integer'
    """,
    "ALTER TABLE threads DROP COLUMN folded_bytes",
    "ALTER TABLE threads DROP COLUMN guard",
    "ALTER TABLE threads RENAME COLUMN fold_flags TO flags",
    """
    CREATE TABLE fulltext_state (
        id INTEGER NOT NULL, status TEXT DEFAULT 'pending' NOT NULL, owner TEXT,
        fence INTEGER DEFAULT 0 NOT NULL, lease_expires_at_ms INTEGER DEFAULT 0 NOT NULL,
        threads_total INTEGER DEFAULT 0 NOT NULL, threads_done INTEGER DEFAULT 0 NOT NULL,
        started_at_ms INTEGER, updated_at_ms INTEGER, completed_at_ms INTEGER, last_error TEXT,
        CONSTRAINT pk_fulltext_state PRIMARY KEY (id),
        CONSTRAINT ck_fulltext_state_singleton CHECK (id = 1),
        CONSTRAINT ck_fulltext_state_status CHECK (status IN ('pending', 'running', 'complete'))
    )
    """,
    """
    INSERT INTO fulltext_state SELECT
    id, status, owner, fence, lease_expires_at_ms, threads_total, threads_done,
    started_at_ms, updated_at_ms, completed_at_ms, last_error FROM said_state
    """,
    "DROP TABLE said_state",
    """
    CREATE TABLE fulltext_pending (
        row_id INTEGER NOT NULL, CONSTRAINT pk_fulltext_pending PRIMARY KEY (row_id),
        CONSTRAINT fk_fulltext_pending_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    "INSERT INTO fulltext_pending SELECT row_id FROM said_pending JOIN threads USING (row_id)",
    "DROP TABLE said_pending",
    """
    CREATE TABLE fulltext_threads (
        row_id INTEGER NOT NULL, files TEXT NOT NULL, mode TEXT NOT NULL, state TEXT NOT NULL,
        header TEXT NOT NULL, header_digest TEXT NOT NULL, version INTEGER NOT NULL,
        digest TEXT DEFAULT '' NOT NULL, CONSTRAINT pk_fulltext_threads PRIMARY KEY (row_id),
        CONSTRAINT fk_fulltext_threads_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    """
    INSERT INTO fulltext_threads SELECT
    s.row_id, files, mode, json_object('highest', CAST(highest AS INTEGER)), head, called,
    -- The lines of paginated threads have the ids that version 7 keeps beside messages of others.
    CASE WHEN version = 6 AND mode = 'paginated' THEN 7 ELSE version END, digest
    FROM said_threads s JOIN threads USING (row_id)
    """,
    "DROP TABLE said_threads",
    """
    CREATE TABLE fulltext_documents (
        document_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, row_id INTEGER NOT NULL,
        locations BLOB NOT NULL, item_keys BLOB NOT NULL, item_ids TEXT DEFAULT '' NOT NULL,
        CONSTRAINT fk_fulltext_documents_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    """
    INSERT INTO fulltext_documents
    SELECT doc_id, row_id, places, item_keys, '' FROM said_docs JOIN threads USING (row_id)
    """,
    # A number is never given again, not that of a document which is gone either.
    "DELETE FROM sqlite_sequence WHERE name = 'fulltext_documents'",
    """
    INSERT INTO sqlite_sequence (name, seq)
    SELECT 'fulltext_documents', seq FROM sqlite_sequence WHERE name = 'said_docs'
    """,
    "DROP TABLE said_docs",
    "CREATE INDEX ix_fulltext_documents_row_id ON fulltext_documents (row_id)",
    "ALTER TABLE said_trigrams RENAME TO fulltext_trigrams",
    "ALTER TABLE turns RENAME TO old_turns",
    """
    CREATE TABLE turn_checkpoints (
        thread_id TEXT NOT NULL, version INTEGER NOT NULL, files TEXT NOT NULL, mode TEXT NOT NULL,
        state TEXT NOT NULL, turns INTEGER NOT NULL,
        CONSTRAINT pk_turn_checkpoints PRIMARY KEY (thread_id),
        CONSTRAINT fk_turn_checkpoints_thread_id FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE
    )
    """,
    """
    INSERT INTO turn_checkpoints SELECT thread_id, version, files, mode, state, turns
    FROM turn_folds JOIN threads ON id = thread_id
    """,
    """
    CREATE TABLE turns (
        thread_id TEXT NOT NULL, position INTEGER NOT NULL, orphan INTEGER DEFAULT 0 NOT NULL,
        id TEXT NOT NULL, root_id TEXT, status TEXT NOT NULL, error TEXT, started_at INTEGER,
        completed_at INTEGER, duration_ms INTEGER, explicit INTEGER NOT NULL,
        start_file INTEGER NOT NULL, start_offset INTEGER NOT NULL, start_ordinal INTEGER NOT NULL,
        end_file INTEGER, end_offset INTEGER, end_ordinal INTEGER, first_user INTEGER NOT NULL,
        final_agent INTEGER NOT NULL, last_agent INTEGER NOT NULL, item_refs BLOB NOT NULL,
        CONSTRAINT pk_turns PRIMARY KEY (thread_id, position),
        CONSTRAINT fk_turns_thread_id FOREIGN KEY(thread_id) REFERENCES turn_checkpoints (thread_id) ON DELETE CASCADE
    )
    """,
    """
    INSERT INTO turns SELECT
    thread_id, position, stray, id, root_id, status, error, started_at, completed_at, duration_ms,
    explicit, start_file, start_offset, start_ordinal, end_file, end_offset, end_ordinal,
    first_user, final_agent, last_agent, anchors FROM old_turns
    WHERE thread_id IN (SELECT thread_id FROM turn_checkpoints)
    """,
    "DROP TABLE old_turns",
    "DROP TABLE turn_folds",
    """
    CREATE TABLE user_data (
        thread_id TEXT NOT NULL, "key" TEXT NOT NULL, value TEXT, set_at_ms INTEGER NOT NULL,
        CONSTRAINT pk_user_data PRIMARY KEY (thread_id, "key")
    )
    """,
    'INSERT INTO user_data SELECT thread_id, "key", value, set_at_ms FROM user_facts',
    "DROP TABLE user_facts",
    """UPDATE index_meta SET "key" = 'user_data_journal' WHERE "key" = 'facts_journal'""",
    """
    CREATE TRIGGER new_threads_are_pending AFTER INSERT ON threads
    BEGIN INSERT INTO fulltext_pending SELECT new.row_id
    WHERE NOT EXISTS (SELECT 1 FROM fulltext_pending WHERE row_id = new.row_id); END
    """,
    """
    CREATE TRIGGER changed_threads_are_pending AFTER UPDATE OF
    rollout_path, size_bytes, mtime_ns, inode, name, title, preview ON threads WHEN
    (old.rollout_path, old.size_bytes, old.mtime_ns, old.inode, old.name, old.title, old.preview)
    IS NOT
    (new.rollout_path, new.size_bytes, new.mtime_ns, new.inode, new.name, new.title, new.preview)
    BEGIN INSERT INTO fulltext_pending SELECT new.row_id
    WHERE NOT EXISTS (SELECT 1 FROM fulltext_pending WHERE row_id = new.row_id); END
    """,
    """
    CREATE VIEW v_user_data AS SELECT
    thread_id, "key", value,
    strftime('%Y-%m-%dT%H:%M:%SZ', set_at_ms / 1000, 'unixepoch') AS set_at,
    set_at_ms
    FROM user_data WHERE value IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
