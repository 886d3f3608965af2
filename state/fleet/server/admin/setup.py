"""Make the schema of a fleet, or bring it up to date."""

from dataclasses import dataclass
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from alembic import command
from psycopg import sql
from sqlalchemy.pool import NullPool

from migrations import alembic_config
from state.errors import FleetDenied, FleetEncoding, FleetExtensionMissing, FleetMissing
from state.fleet.server import schema
from state.fleet.server.connect import administering, check_revision, server_version

TENANT: Final = "default"
"""The tenant of whom none is named."""
EXTENSION: Final = "pg_trgm"
_PLACE: Final = (
    "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace"
    " WHERE extname = %s"
)

_EXHAUSTING: Final = (
    "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
    " AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock'"
    " OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))"
)
"""What nobody needs here, and by which any login could fill the memory for locks, or the disk."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """A fleet that was set up or upgraded."""

    database: str
    server: str
    """The version of PostgreSQL."""
    before: str | None
    """The revision of the schema that was there; None: there was no fleet."""
    revision: str


def initialize(address: str) -> SetUp:
    """Make the roles and the schema in the database at ``address``, or bring the schema up to date:
    as a superuser, or as the owner of the database who may create roles. All of it, or nothing.

    Raises:
        FleetError: PostgreSQL does not answer, or this user may not do that.
        PostgresTooOld: it is older than a fleet needs.
        FleetEncoding: the database is not in UTF-8.
        FleetExtensionMissing: pg_trgm is not installed there.
        FleetTooNew: a newer version has been here.
    """
    with administering(address) as connection:
        encoding = connection.info.parameter_status("server_encoding") or ""
        if encoding != "UTF8":
            raise FleetEncoding(connection.info.dbname, encoding)
        before = revision(connection)
        _make_roles(connection)
        database = sql.Identifier(connection.info.dbname)
        for statement in (
            "GRANT CREATE ON DATABASE {} TO threadkeep_owner",
            "CREATE SCHEMA IF NOT EXISTS threadkeep AUTHORIZATION threadkeep_owner",
        ):
            connection.execute(sql.SQL(statement).format(database))
        _make_extension(connection)
        return _upgraded(connection, before)


def upgrade(address: str) -> SetUp:
    """Bring the schema of a fleet up to date.

    Raises:
        FleetError: PostgreSQL does not answer, there is no fleet, or this user may not do that.
        PostgresTooOld: it is older than a fleet needs.
        FleetTooNew: a newer version has been here.
    """
    with administering(address) as connection:
        before = revision(connection)
        if before is None:
            raise FleetMissing(connection.info.dbname)
        return _upgraded(connection, before)


def revision(connection: "psycopg.Connection[Any]") -> str | None:
    """The revision of the schema; None if there is none.

    Raises FleetDenied if this user may not look."""
    try:
        with connection.transaction():
            row = connection.execute("SELECT version_num FROM threadkeep.fleet_version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    except psycopg.errors.InsufficientPrivilege:
        raise FleetDenied(f"{connection.info.user} is no administrator of it") from None
    return str(row[0]) if row else None


def check_current(connection: "psycopg.Connection[Any]") -> None:
    """Raises FleetMissing, FleetTooOld, FleetTooNew or FleetDenied if this program cannot
    administer what is there."""
    found = revision(connection)
    if found is None:
        raise FleetMissing(connection.info.dbname)
    check_revision(found)


def _upgraded(connection: "psycopg.Connection[Any]", before: str | None) -> SetUp:
    if before is not None and before > schema.HEAD:
        check_revision(before)
    if before != schema.HEAD:
        _migrate(connection)
        connection.execute(
            "INSERT INTO threadkeep.tenants (name) VALUES (%s) ON CONFLICT DO NOTHING", [TENANT]
        )
    _bound_logins(connection)
    info = connection.info
    return SetUp(info.dbname, server_version(info.server_version), before, schema.HEAD)


def _migrate(connection: "psycopg.Connection[Any]") -> None:
    """Apply the migrations that are pending, in the caller's transaction."""
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool
    )
    # It ends with the caller's transaction, and stays open.
    dialect: Any = engine.dialect
    dialect.do_begin = dialect.do_commit = dialect.do_rollback = lambda _: None
    dialect.do_close = lambda _: None
    config = alembic_config("migrations.fleet")
    (extension,) = connection.execute(_PLACE, [EXTENSION]).fetchone() or ("public",)
    path = sql.SQL("SET LOCAL search_path = threadkeep, {}, pg_temp")
    connection.execute(path.format(sql.Identifier(extension)))
    try:
        with engine.connect() as config.attributes["connection"]:
            command.upgrade(config, schema.HEAD)
    except sa.exc.DBAPIError as error:
        raise (error.orig or error) from None  # the one is the cause of the other already
    connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")


def _bound_logins(connection: "psycopg.Connection[Any]") -> None:
    """Take from all logins of the database, as far as this user may, what would stop the others:
    locks and large objects without bounds, and the temporary tables that only machines need."""
    owns, is_superuser = connection.execute(
        "SELECT pg_has_role(datdba, 'USAGE'), rolsuper FROM pg_database, pg_roles"
        " WHERE datname = current_database() AND rolname = current_user"
    ).fetchone() or (False, False)
    if owns:
        database = sql.Identifier(connection.info.dbname)
        for statement in (
            "GRANT TEMPORARY ON DATABASE {} TO threadkeep_machine",
            "REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC",
        ):
            connection.execute(sql.SQL(statement).format(database))
    if is_superuser:
        names = ", ".join(name for (name,) in connection.execute(_EXHAUSTING).fetchall())
        connection.execute(f"REVOKE EXECUTE ON FUNCTION {names} FROM PUBLIC")


def _make_extension(connection: "psycopg.Connection[Any]") -> None:
    try:
        with connection.transaction():
            create = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public")
            connection.execute(create.format(sql.Identifier(EXTENSION)))
    except (
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.UndefinedFile,
        psycopg.errors.InsufficientPrivilege,
    ) as error:
        raise FleetExtensionMissing(error.diag.message_primary or str(error)) from error


def _make_roles(connection: "psycopg.Connection[Any]") -> None:
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    for role in schema.ROLES:
        if role not in known:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    (is_superuser,) = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False,)
    if is_superuser:
        return
    try:
        connection.execute("GRANT threadkeep_owner, threadkeep_admin TO CURRENT_USER")
    except psycopg.errors.InsufficientPrivilege:
        # From PostgreSQL 16 on only who made them may grant them, or whom that one lets.
        user = sql.Identifier(connection.info.user).as_string(connection)
        raise FleetDenied(
            "another administrator made the roles of the fleets of this server, and lets you grant"
            f" them by: GRANT {', '.join(schema.ROLES)} TO {user} WITH ADMIN OPTION"
        ) from None
