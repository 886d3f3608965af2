"""Add the indexes of the filters by model, branch, tokens and size."""

from alembic import op

revision = "v0012"
down_revision = "v0011"

STATEMENTS = (
    "CREATE INDEX ix_threads_model ON threads (model, facet, recency_at_ms, id)",
    "CREATE INDEX ix_threads_git_branch ON threads (git_branch, facet, recency_at_ms, id)",
    "CREATE INDEX ix_threads_tokens_used ON threads (tokens_used, facet)",
    "CREATE INDEX ix_threads_size_bytes ON threads (size_bytes, facet)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
