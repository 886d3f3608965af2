"""Add the turn index: where the turns of long threads are, so that a page costs a page."""

from alembic import op

revision = "v0003"
down_revision = "v0002"

STATEMENTS = (
    """
    CREATE TABLE turn_folds (
        thread_id TEXT NOT NULL, version INTEGER NOT NULL, files TEXT NOT NULL, mode TEXT NOT NULL,
        state TEXT NOT NULL, turns INTEGER NOT NULL,
        CONSTRAINT pk_turn_folds PRIMARY KEY (thread_id),
        CONSTRAINT fk_turn_folds_thread_id FOREIGN KEY(thread_id) REFERENCES threads (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE turns (
        thread_id TEXT NOT NULL, position INTEGER NOT NULL, stray INTEGER DEFAULT 0 NOT NULL,
        id TEXT NOT NULL, root_id TEXT, status TEXT NOT NULL, error TEXT, started_at INTEGER,
        completed_at INTEGER, duration_ms INTEGER, explicit INTEGER NOT NULL,
        start_file INTEGER NOT NULL, start_offset INTEGER NOT NULL, start_ordinal INTEGER NOT NULL,
        end_file INTEGER, end_offset INTEGER, end_ordinal INTEGER, first_user INTEGER NOT NULL,
        final_agent INTEGER NOT NULL, last_agent INTEGER NOT NULL, anchors BLOB NOT NULL,
        CONSTRAINT pk_turns PRIMARY KEY (thread_id, position),
        CONSTRAINT fk_turns_thread_id FOREIGN KEY(thread_id) REFERENCES turn_folds (thread_id) ON DELETE CASCADE
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
