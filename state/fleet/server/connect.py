"""Connections to a fleet's PostgreSQL."""

import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from state.errors import (
    FleetAddressInvalid,
    FleetLoginUnknown,
    FleetMissing,
    FleetTooNew,
    FleetTooOld,
    PostgresTooOld,
)
from state.fleet.server import schema
from state.fleet.server.failures import translated

if TYPE_CHECKING:
    import psycopg

OLDEST: Final = 14
"""The oldest PostgreSQL that has all we need."""
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": "10",
    # A server that is gone without a word is noticed within two minutes.
    **{"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"},
    "tcp_user_timeout": "120000",
    "application_name": "threadkeep",
}
"""What an address may say otherwise."""
_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "prepare_threshold": None,  # PgBouncer gives each transaction another connection
    "client_encoding": "UTF8",
}
_SILENCE_S: Final = 600.0
"""So long nothing may come. By TCP alone nobody notices that what is in between, such as PgBouncer,
is alive and waits for a server that is gone."""
_LOCK_PATIENCE: Final = "10s"
_WHO: Final = (
    "SELECT version_num, threadkeep.my_tenant(), threadkeep.my_machine(), pg_backend_pid(),"
    f" has_schema_privilege(to_regnamespace('{schema.VIEWS}'), 'USAGE') IS TRUE"
    " FROM threadkeep.fleet_version"
)


class Login(NamedTuple):
    """Who is logged in."""

    tenant_id: int
    machine_id: int | None
    """None for a reader."""
    is_direct: bool
    """Whether the process that answers is the one that was connected to: no pooler gives each
    transaction another, so what is prepared in it stays."""
    reads: bool
    """Whether it may read the fleet: a machine may only if it was let."""


@asynccontextmanager
async def connected(address: str) -> "AsyncGenerator[psycopg.AsyncConnection[Any]]":
    """A connection to ``address``, in the form of libpq: a URL, or ``key=value`` pairs. It is in
    autocommit mode: transactions are begun with ``connection.transaction()``.

    Raises:
        FleetError: PostgreSQL does not answer, refuses the login or, later, a statement.
        FleetDriverMissing: psycopg is not installed.
    """
    with translated():
        import psycopg

        class Watched(psycopg.AsyncConnection[Any]):
            async def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
                return await super().wait(_ending(gen, self), *arguments, **options)

        connection = await Watched.connect(address, **_options(address))
        try:
            yield connection
        finally:
            await connection.close()


def _ending(
    work: "Generator[Any, Any, Any]", connection: "psycopg.AsyncConnection[Any]"
) -> "Generator[Any, Any, Any]":
    """What waits for the server in ``work``, until that is silent for too long."""
    import psycopg

    since = time.monotonic()
    try:
        wanted = next(work)
        while True:
            came = yield wanted
            if came:
                since = time.monotonic()
            elif time.monotonic() - since > _SILENCE_S:
                connection.pgconn.finish()
                raise psycopg.OperationalError(f"no answer for {_SILENCE_S:.0f} seconds")
            wanted = work.send(came)
    except StopIteration as end:
        return end.value


@contextmanager
def administering(address: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection in one transaction that looks for names nowhere but where they are said to be:
    what others have put into the database is not taken for what an administrator means.

    Raises:
        FleetError: PostgreSQL does not answer, refuses the login or, later, a statement.
        FleetDriverMissing: psycopg is not installed.
        PostgresTooOld: it is older than a fleet needs.
    """
    with administrator(address) as connection, transaction(connection):
        yield connection


@contextmanager
def administrator(address: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection for several transactions, which :func:`transaction` begins.

    Raises what :func:`administering` raises.
    """
    with translated():
        import psycopg

        connection = psycopg.connect(address, **_options(address))
        try:
            check_server(connection)
            yield connection
        finally:
            connection.close()


@contextmanager
def transaction(connection: "psycopg.Connection[Any]", role: str | None = None) -> Iterator[None]:
    """A transaction that looks for names nowhere but where they are said to be, as ``role``. It
    waits for no lock for long: all others would wait behind it."""
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_PATIENCE}'")
        if role is not None:
            connection.execute(f"SET LOCAL ROLE {role}")
        yield


async def log_in(connection: "psycopg.AsyncConnection[Any]") -> Login:
    """Who is logged in to a fleet that this program can work with.

    Raises:
        PostgresTooOld: it is older than a fleet needs.
        FleetMissing: the database holds no fleet.
        FleetTooOld: the tables are older than this program.
        FleetTooNew: they are newer.
        FleetLoginUnknown: this user is neither a machine nor a reader, or is revoked.
    """
    import psycopg

    check_server(connection)
    try:
        row = await (await connection.execute(_WHO)).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise FleetMissing(connection.info.dbname) from None
    except psycopg.errors.InsufficientPrivilege:
        raise FleetLoginUnknown(connection.info.user) from None
    if row is None:
        raise FleetMissing(connection.info.dbname)
    check_revision(row[0])
    if row[1] is None:
        raise FleetLoginUnknown(connection.info.user)
    return Login(row[1], row[2], row[3] == connection.info.backend_pid, row[4])


def check_server(connection: "psycopg.AsyncConnection[Any] | psycopg.Connection[Any]") -> None:
    """Raises PostgresTooOld if it is."""
    version = connection.info.server_version
    if version // 10_000 < OLDEST:
        raise PostgresTooOld(server_version(version), str(OLDEST))


def check_revision(found: str) -> None:
    """Raises FleetTooOld or FleetTooNew if the tables are not those of this program."""
    if found > schema.HEAD:
        raise FleetTooNew(found, schema.HEAD)
    if found < schema.HEAD:
        raise FleetTooOld(found, schema.HEAD)


def server_version(number: int) -> str:
    """The version of PostgreSQL as people write it."""
    major, minor = divmod(number, 10_000)
    return f"{major}.{minor}"


def _options(address: str) -> dict[str, Any]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(address)
    except psycopg.ProgrammingError as error:
        raise FleetAddressInvalid(str(error).strip()) from None
    return {name: value for name, value in _DEFAULTS.items() if name not in given} | _OPTIONS
