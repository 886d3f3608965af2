"""Logins of machines and readers: PostgreSQL's own roles and passwords."""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from state.errors import FleetLoginExists, FleetLoginNotFound, InvalidLoginName
from state.fleet.server import schema
from state.fleet.server.admin.setup import TENANT, check_current
from state.fleet.server.connect import administering

MACHINE: Final = "machine"
READER: Final = "reader"
_LONGEST: Final = 63
"""Bytes that PostgreSQL keeps of a name."""
_PASSWORD: Final = 24
"""Random bytes of a password."""
_BOUNDS: Final = (("idle_in_transaction_session_timeout", "1min"), ("lock_timeout", "1min"))
"""What a new login has by default, so that a machine that falls asleep in a push holds up others no
longer, and one that waits for another does not wait for ever."""

_END_MS: Final = 5_000
"""So long a connection may take to end."""
_REVOKE: Final = sql.SQL(
    "UPDATE threadkeep.{} SET revoked_at = coalesce(revoked_at, now()) WHERE role_name = %s"
)


@dataclass(frozen=True, slots=True)
class Login:
    """A login that was made, and how it gets in."""

    kind: str
    name: str
    tenant: str
    user: str
    role: str
    reads: bool
    password: str | None
    host: str
    """Empty for the socket of this computer."""
    port: int
    database: str

    @property
    def local(self) -> bool:
        """Whether the administrator came by the socket, which leads nobody else here."""
        return not self.host

    @property
    def url(self) -> str:
        """The address for it."""
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        role, database = quote(self.role, safe=""), quote(self.database, safe="")
        return f"postgresql://{role}@{host}:{self.port}/{database}"

    @property
    def pgpass(self) -> str | None:
        """The line of ``~/.pgpass`` with its password, if it has one."""
        if self.password is None:
            return None
        fields = (self.host or "localhost", str(self.port), self.database, self.role, self.password)
        return ":".join(each.replace("\\", "\\\\").replace(":", "\\:") for each in fields)


def let_in(
    address: str,
    kind: str,
    name: str,
    *,
    role: str | None = None,
    has_password: bool = True,
    tenant: str = TENANT,
    user: str = "",
    reads: bool = False,
) -> Login:
    """Make a login for a machine or a reader, or let one in again that was revoked.

    Raises:
        FleetError: PostgreSQL does not answer, or this user may not do that.
        FleetTooOld, FleetTooNew, PostgresTooOld: the fleet or its server is of another version.
        FleetLoginExists: there is one of this name, or a role.
        InvalidLoginName: nothing can be called so.
    """
    role = name if role is None else role
    for what, given in (("name", name), ("tenant", tenant), ("role", role)):
        _check_name(what, given)
    if user:
        _check_name("user", user)
    password = secrets.token_urlsafe(_PASSWORD) if has_password else None
    with administering(address) as connection:
        check_current(connection)
        if not _let_in_again(connection, kind, name, role, password, tenant, user, reads=reads):
            if kind == MACHINE:
                add_machine(
                    connection,
                    name,
                    role=role,
                    password=password,
                    tenant=tenant,
                    user=user,
                    reads=reads,
                )
            else:
                add_reader(connection, role, password=password, tenant=tenant)
        info = connection.info
        host = "" if info.host.startswith(("/", "@")) else info.host
        reads = reads or kind == READER
        return Login(kind, name, tenant, user, role, reads, password, host, info.port, info.dbname)


def revoke(address: str, kind: str, name: str, tenant: str = TENANT) -> int:
    """Let a machine or a reader no longer in: how many of its connections were ended.

    Raises:
        FleetError: PostgreSQL does not answer, or this user may not do that.
        FleetTooOld, FleetTooNew, PostgresTooOld: the fleet or its server is of another version.
        FleetLoginNotFound: there is none of this name.
    """
    with administering(address) as connection:
        check_current(connection)
        found = _find(connection, kind, name, tenant)
        if found is None:
            raise FleetLoginNotFound(kind, name)
        role, _ = found
        connection.execute(_REVOKE.format(sql.Identifier("logins")), [role])
    # It can do nothing any more, but may hold locks on what follows.
    with administering(address) as connection:
        ended = _end_connections(connection, role)
    with administering(address) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
        connection.execute(_REVOKE.format(sql.Identifier("machines")), [role])
    with administering(address) as connection:  # from now on no other one begins
        return ended + _end_connections(connection, role)


def add_machine(
    connection: "psycopg.Connection[Any]",
    name: str,
    *,
    role: str,
    password: str | None,
    tenant: str = TENANT,
    user: str = "",
    reads: bool = False,
) -> int:
    """Make a login by which a machine pushes, and with ``reads`` also reads: its machine id.

    Raises FleetLoginExists or InvalidLoginName."""
    with connection.transaction():
        tenant_id = _tenant(connection, tenant)
        _make_role(connection, role, password, MACHINE, reads=reads)
        row = connection.execute(
            "INSERT INTO threadkeep.machines (tenant_id, name, user_name, role_name)"
            " VALUES (%s, %s, %s, %s) RETURNING machine_id",
            [tenant_id, name, user, role],
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO threadkeep.logins (role_name, tenant_id, machine_id, reads)"
            " VALUES (%s, %s, %s, %s)",
            [role, tenant_id, row[0], reads],
        )
    return int(row[0])


def add_reader(
    connection: "psycopg.Connection[Any]", role: str, *, password: str | None, tenant: str = TENANT
) -> None:
    """Make a login by which all threads of a tenant are read.

    Raises FleetLoginExists or InvalidLoginName."""
    with connection.transaction():
        tenant_id = _tenant(connection, tenant)
        _make_role(connection, role, password, READER, reads=True)
        connection.execute(
            "INSERT INTO threadkeep.logins (role_name, tenant_id, reads) VALUES (%s, %s, true)",
            [role, tenant_id],
        )


def _find(
    connection: "psycopg.Connection[Any]", kind: str, name: str, tenant: str
) -> tuple[str, bool] | None:
    """The role of a machine or reader, and whether it is revoked; None if there is none."""
    named = "machine_id IS NULL AND role_name = %s"
    if kind == MACHINE:
        named = "machine_id = (SELECT m.machine_id FROM threadkeep.machines m"
        named += " WHERE m.tenant_id = l.tenant_id AND m.name = %s)"
    row = connection.execute(
        "SELECT role_name, revoked_at IS NOT NULL FROM threadkeep.logins l"
        f" WHERE {named} AND tenant_id ="
        " (SELECT t.tenant_id FROM threadkeep.tenants t WHERE t.name = %s)",
        [name, tenant],
    ).fetchone()
    return (str(row[0]), bool(row[1])) if row else None


def _let_in_again(
    connection: "psycopg.Connection[Any]",
    kind: str,
    name: str,
    role: str,
    password: str | None,
    tenant: str,
    user: str,
    *,
    reads: bool,
) -> bool:
    """Undo that one was revoked; False if there is none of this name."""
    found = _find(connection, kind, name, tenant)
    if found is None:
        return False
    if found != (role, True):
        raise FleetLoginExists(kind, name)
    connection.execute(
        "UPDATE threadkeep.logins SET revoked_at = NULL, reads = %s WHERE role_name = %s",
        [reads or kind == READER, role],
    )
    # Its threads may have been pruned meanwhile. The next push finds an epoch that it does not
    # know, and pushes all; by the key, a copy of its index is still told apart.
    connection.execute(
        "UPDATE threadkeep.machines SET revoked_at = NULL,"
        " epoch = epoch + (epoch_key <> '')::integer,"
        " user_name = coalesce(nullif(%s, ''), user_name) WHERE role_name = %s",
        [user, role],
    )
    login = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
    connection.execute(login.format(sql.Identifier(role), _encrypted(connection, role, password)))
    if kind == MACHINE:
        change = "GRANT {} TO {}" if reads else "REVOKE {} FROM {}"
        names = map(sql.Identifier, (schema.READER, role))
        connection.execute(sql.SQL(change).format(*names))
    return True


def _make_role(
    connection: "psycopg.Connection[Any]",
    role: str,
    password: str | None,
    kind: str,
    *,
    reads: bool,
) -> None:
    name = sql.Identifier(role)
    create = sql.SQL("CREATE ROLE {} LOGIN INHERIT PASSWORD {}")
    try:
        connection.execute(create.format(name, _encrypted(connection, role, password)))
    except psycopg.errors.DuplicateObject:
        raise FleetLoginExists("PostgreSQL user", role) from None
    except psycopg.errors.ReservedName as error:
        raise InvalidLoginName(str(error.diag.message_primary)) from None
    for setting, value in _BOUNDS:
        bound = sql.SQL("ALTER ROLE {} SET {} = {}")
        connection.execute(bound.format(name, sql.Identifier(setting), sql.Literal(value)))
    groups = [*[schema.MACHINE] * (kind == MACHINE), *[schema.READER] * reads]
    for each in groups:
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(each), name))


def _encrypted(
    connection: "psycopg.Connection[Any]", role: str, password: str | None
) -> sql.Composable:
    """A password as the server stores it: it appears in no log."""
    if password is None:
        return sql.SQL("NULL")
    stored = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return sql.Literal(stored.decode())


def _end_connections(connection: "psycopg.Connection[Any]", role: str) -> int:
    name = sql.Identifier(role)
    (is_superuser,) = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False,)
    if not is_superuser:  # who may end the connections of roles that it has
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    ended = connection.execute(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, %s)) FROM pg_stat_activity"
        " WHERE usename = %s",
        [_END_MS, role],
    ).fetchone()
    if not is_superuser:
        connection.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(name))
    return int(ended[0]) if ended else 0


def _tenant(connection: "psycopg.Connection[Any]", name: str) -> int:
    connection.execute(
        "INSERT INTO threadkeep.tenants (name) VALUES (%s) ON CONFLICT DO NOTHING", [name]
    )
    row = connection.execute(
        "SELECT tenant_id FROM threadkeep.tenants WHERE name = %s", [name]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _check_name(what: str, name: str) -> None:
    if not name.strip() or name != name.strip():
        raise InvalidLoginName(f"the {what} {name!r} is blank, or has blanks at its ends")
    if not name.isprintable():
        raise InvalidLoginName(f"the {what} {name!r} has characters that cannot be printed")
    if len(name.encode()) > _LONGEST:
        raise InvalidLoginName(f"the {what} {name!r} has more than {_LONGEST} bytes")
