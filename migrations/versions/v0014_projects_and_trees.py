"""Add the indexes of the origins of folders, and of the threads that come from another one."""

from alembic import op

revision = "v0014"
down_revision = "v0013"

STATEMENTS = (
    "CREATE INDEX ix_threads_cwd_git_origin_url ON threads (cwd_key, created_at_ms, git_origin_url)"
    " WHERE git_origin_url != ''",
    "CREATE INDEX ix_threads_tree_parent ON threads (coalesce(parent_thread_id, forked_from_id),"
    " created_at_ms, id) WHERE coalesce(parent_thread_id, forked_from_id) IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
