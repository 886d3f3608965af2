"""Make the schema of a fleet, or bring it up to date."""

from typing import Any, Final

import psycopg
import sqlalchemy as sa
from alembic import command
from psycopg import sql
from sqlalchemy.pool import NullPool

from migrations.fleet import alembic_config
from state.fleet.server import schema

TENANT: Final = "default"
"""The tenant of whom none is named."""
_EXTENSION: Final = (
    "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace"
    " WHERE extname = 'pg_trgm'"
)


def initialize(address: str) -> None:
    """Make the roles and the schema in the database at ``address``, or bring the schema up to date:
    as a superuser, or as the owner of the database who may create roles."""
    with psycopg.connect(address, autocommit=True) as connection:
        with connection.transaction():
            _make_roles(connection)
            database = sql.Identifier(connection.info.dbname)
            for statement in (
                "GRANT CREATE ON DATABASE {} TO threadkeep_owner",
                "CREATE SCHEMA IF NOT EXISTS threadkeep AUTHORIZATION threadkeep_owner",
                "CREATE EXTENSION IF NOT EXISTS pg_trgm",
            ):
                connection.execute(sql.SQL(statement).format(database))
        upgrade(connection)
        with connection.transaction():
            connection.execute(
                "INSERT INTO threadkeep.tenants (name) VALUES (%s) ON CONFLICT DO NOTHING", [TENANT]
            )


def upgrade(connection: "psycopg.Connection") -> None:
    """Apply the migrations that are pending."""
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool
    )
    # It ends with the caller's transaction, and stays open.
    dialect: Any = engine.dialect
    dialect.do_begin = dialect.do_commit = dialect.do_rollback = lambda _: None
    dialect.do_close = lambda _: None
    config = alembic_config()
    with connection.transaction():
        (extension,) = connection.execute(_EXTENSION).fetchone() or ("public",)
        path = sql.SQL("SET LOCAL search_path = threadkeep, {}").format(sql.Identifier(extension))
        connection.execute(path)
        with engine.connect() as config.attributes["connection"]:
            command.upgrade(config, "head")


def _make_roles(connection: "psycopg.Connection") -> None:
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    for role in schema.ROLES:
        name = sql.Identifier(role)
        if role not in known:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
    member = sql.SQL("GRANT threadkeep_owner, threadkeep_admin TO CURRENT_USER")
    (is_superuser,) = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False,)
    if not is_superuser:
        connection.execute(member)
