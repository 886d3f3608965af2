"""Have the text of all threads indexed again: accents of every script, strokes of letters and
vowel signs are compared in another way than before."""

from alembic import op

revision = "v0006"
down_revision = "v0005"

STATEMENTS = (
    """
    INSERT INTO said_pending SELECT row_id FROM said_threads
    WHERE row_id NOT IN (SELECT row_id FROM said_pending)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
