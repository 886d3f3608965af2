"""Keep which files the patches of each thread have changed, and where its rollouts say so."""

from alembic import op

revision = "v0018"
down_revision = "v0017"

STATEMENTS = (
    """
    CREATE TABLE changed_files (
        file_id INTEGER NOT NULL, path TEXT NOT NULL, casefolded TEXT,
        CONSTRAINT pk_changed_files PRIMARY KEY (file_id),
        CONSTRAINT uq_changed_files_path UNIQUE (path)
    )
    """,
    """
    CREATE TABLE file_changes (
        row_id INTEGER NOT NULL, file_id INTEGER NOT NULL, kind TEXT NOT NULL, at_ms INTEGER,
        locations BLOB NOT NULL,
        CONSTRAINT pk_file_changes PRIMARY KEY (row_id, file_id),
        CONSTRAINT ck_file_changes_kind CHECK (kind IN ('A', 'M', 'D', 'R')),
        CONSTRAINT fk_file_changes_file_id FOREIGN KEY(file_id) REFERENCES changed_files (file_id),
        CONSTRAINT fk_file_changes_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    "CREATE INDEX ix_file_changes_file_id ON file_changes (file_id)",
    """
    CREATE TRIGGER files_go_with_their_last_change AFTER DELETE ON file_changes
    WHEN NOT EXISTS (SELECT 1 FROM file_changes WHERE file_id = old.file_id)
    BEGIN DELETE FROM changed_files WHERE file_id = old.file_id; END
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
