"""Keep a digest of the messages that a thread's documents were made of, for ``verify --deep``."""

from alembic import op

revision = "v0007"
down_revision = "v0006"

STATEMENTS = ("ALTER TABLE said_threads ADD COLUMN digest TEXT DEFAULT '' NOT NULL",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
