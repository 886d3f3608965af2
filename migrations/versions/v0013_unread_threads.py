"""Add an index of the threads with a file that could not be read, of which each search tells."""

from alembic import op

revision = "v0013"
down_revision = "v0012"

STATEMENT = "CREATE INDEX ix_fulltext_threads_unread ON fulltext_threads (row_id) WHERE version = 0"


def upgrade() -> None:
    op.execute(STATEMENT)
