"""Add full-text search over what was said."""

from alembic import op

revision = "v0004"
down_revision = "v0003"

STATEMENTS = (
    """
    CREATE TABLE said_state (
        id INTEGER NOT NULL, status TEXT DEFAULT 'pending' NOT NULL, owner TEXT,
        fence INTEGER DEFAULT 0 NOT NULL, lease_expires_at_ms INTEGER DEFAULT 0 NOT NULL,
        threads_total INTEGER DEFAULT 0 NOT NULL, threads_done INTEGER DEFAULT 0 NOT NULL,
        started_at_ms INTEGER, updated_at_ms INTEGER, completed_at_ms INTEGER, last_error TEXT,
        CONSTRAINT pk_said_state PRIMARY KEY (id),
        CONSTRAINT ck_said_state_singleton CHECK (id = 1),
        CONSTRAINT ck_said_state_status CHECK (status IN ('pending', 'running', 'complete'))
    )
    """,
    """
    CREATE TABLE said_pending (
        row_id INTEGER NOT NULL, CONSTRAINT pk_said_pending PRIMARY KEY (row_id),
        CONSTRAINT fk_said_pending_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE said_threads (
        row_id INTEGER NOT NULL, files TEXT NOT NULL, mode TEXT NOT NULL, inode INTEGER NOT NULL,
        end_offset INTEGER NOT NULL, guard TEXT NOT NULL, highest INTEGER NOT NULL,
        head TEXT NOT NULL, called TEXT NOT NULL, version INTEGER NOT NULL,
        CONSTRAINT pk_said_threads PRIMARY KEY (row_id),
        CONSTRAINT fk_said_threads_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    # Numbers are not given again: what was indexed under an old one stays until a rebuild.
    """
    CREATE TABLE said_docs (
        doc_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, row_id INTEGER NOT NULL,
        places BLOB NOT NULL, item_keys BLOB NOT NULL,
        CONSTRAINT fk_said_docs_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_said_docs_row_id ON said_docs (row_id)",
    """
    CREATE TRIGGER said_by_new_threads AFTER INSERT ON threads
    BEGIN INSERT INTO said_pending SELECT new.row_id
    WHERE NOT EXISTS (SELECT 1 FROM said_pending WHERE row_id = new.row_id); END
    """,
    """
    CREATE TRIGGER said_by_changed_threads AFTER UPDATE OF
    rollout_path, size_bytes, mtime_ns, inode, name, title, preview ON threads WHEN
    (old.rollout_path, old.size_bytes, old.mtime_ns, old.inode, old.name, old.title, old.preview)
    IS NOT
    (new.rollout_path, new.size_bytes, new.mtime_ns, new.inode, new.name, new.title, new.preview)
    BEGIN INSERT INTO said_pending SELECT new.row_id
    WHERE NOT EXISTS (SELECT 1 FROM said_pending WHERE row_id = new.row_id); END
    """,
    """
    CREATE VIRTUAL TABLE said_trigrams USING fts5(letters, content='', columnsize=0,
    tokenize='trigram case_sensitive 1', detail='none')
    """,
    "INSERT INTO said_state (id) VALUES (1)",
    "INSERT INTO said_pending SELECT row_id FROM threads",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
