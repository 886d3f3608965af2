"""Bring the index database to the newest schema."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from state.db.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config


def upgrade(connection: sa.Connection) -> None:
    """Apply pending migrations on ``connection``.

    Synchronous, because Alembic is: call it through ``AsyncConnection.run_sync``.
    """
    from alembic import command  # costs more than most commands take

    command.upgrade(_config(connection), "head")


def new_revision(connection: sa.Connection, message: str) -> None:
    """Write a draft revision with the difference between the database and ``state.db.schema``."""
    from alembic import command

    command.revision(_config(connection), message, autogenerate=True)


def _config(connection: sa.Connection) -> "Config":
    from migrations import alembic_config

    config = alembic_config()
    config.attributes.update(connection=connection, target_metadata=metadata)
    return config
