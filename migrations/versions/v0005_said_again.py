"""Have what was said read again in threads whose history could not be read by earlier versions:
those of the first Codex versions, and compressed ones that break off."""

from alembic import op

revision = "v0005"
down_revision = "v0004"

STATEMENTS = (
    """
    INSERT INTO said_pending SELECT row_id FROM said_threads
    WHERE mode = '' AND row_id NOT IN (SELECT row_id FROM said_pending)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
