"""Add what rollouts tell and lists need: names, ordinals and lines that are in no turn, and what
the files begin with that a revert left behind."""

from alembic import op

revision = "v0009"
down_revision = "v0008"

STATEMENTS = (
    "ALTER TABLE threads ADD COLUMN rollout_name TEXT",
    "ALTER TABLE threads ADD COLUMN rollout_name_ms INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE threads ADD COLUMN next_ordinal INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE rollout_files ADD COLUMN left_out INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE rollout_files ADD COLUMN left_out_at INTEGER",
    "ALTER TABLE rollout_files ADD COLUMN opening TEXT",
    # What response items say is read now in threads that have nothing else.
    """
    INSERT INTO said_pending SELECT row_id FROM said_threads
    WHERE row_id NOT IN (SELECT row_id FROM said_docs)
    AND row_id NOT IN (SELECT row_id FROM said_pending)
    """,
    "CREATE INDEX ix_threads_begins_elsewhere ON threads (id) WHERE fold_flags & 32",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
