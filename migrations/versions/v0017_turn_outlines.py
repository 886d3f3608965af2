"""Keep the outlines of the turns of long threads: prompt, files, failures and tokens of each turn."""

from alembic import op

revision = "v0017"
down_revision = "v0016"

STATEMENTS = (
    "ALTER TABLE turn_checkpoints ADD COLUMN outlines TEXT",
    """
    CREATE TABLE turn_outlines (
        thread_id TEXT NOT NULL, position INTEGER NOT NULL, digest INTEGER NOT NULL,
        prompt TEXT NOT NULL, files TEXT, failures TEXT, tokens INTEGER,
        CONSTRAINT pk_turn_outlines PRIMARY KEY (thread_id, position),
        CONSTRAINT fk_turn_outlines_thread_id FOREIGN KEY(thread_id) REFERENCES turn_checkpoints (thread_id) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
