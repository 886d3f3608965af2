"""Add what Codex's own database held of threads when it was looked at last."""

from alembic import op

revision = "v0016"
down_revision = "v0015"

STATEMENT = """
CREATE TABLE codex_values (
    thread_id TEXT NOT NULL,
    name TEXT,
    pinned INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT pk_codex_values PRIMARY KEY (thread_id),
    CONSTRAINT fk_codex_values_thread_id FOREIGN KEY(thread_id) REFERENCES threads (id)
        ON DELETE CASCADE
)
"""


def upgrade() -> None:
    op.execute(STATEMENT)
