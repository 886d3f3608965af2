"""Logins of machines and readers."""

from typing import TYPE_CHECKING

from psycopg import sql

from state.fleet.server import schema
from state.fleet.server.admin.setup import TENANT

if TYPE_CHECKING:
    import psycopg


def add_machine(
    connection: "psycopg.Connection",
    name: str,
    *,
    role: str,
    password: str | None,
    tenant: str = TENANT,
    user: str = "",
    reads: bool = False,
) -> int:
    """Make a login by which a machine pushes, and with ``reads`` also reads: its machine id."""
    with connection.transaction():
        tenant_id = _tenant(connection, tenant)
        roles = [schema.MACHINE, *([schema.READER] if reads else [])]
        _make_login(connection, role, password, roles)
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
    connection: "psycopg.Connection", role: str, *, password: str | None, tenant: str = TENANT
) -> None:
    """Make a login by which all threads of a tenant are read."""
    with connection.transaction():
        tenant_id = _tenant(connection, tenant)
        _make_login(connection, role, password, [schema.READER])
        connection.execute(
            "INSERT INTO threadkeep.logins (role_name, tenant_id, reads) VALUES (%s, %s, true)",
            [role, tenant_id],
        )


def _tenant(connection: "psycopg.Connection", name: str) -> int:
    connection.execute(
        "INSERT INTO threadkeep.tenants (name) VALUES (%s) ON CONFLICT DO NOTHING", [name]
    )
    row = connection.execute(
        "SELECT tenant_id FROM threadkeep.tenants WHERE name = %s", [name]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _make_login(
    connection: "psycopg.Connection", role: str, password: str | None, roles: list[str]
) -> None:
    with_password = sql.SQL("PASSWORD {}").format(password) if password else sql.SQL("")
    connection.execute(
        sql.SQL("CREATE ROLE {} LOGIN INHERIT {}").format(sql.Identifier(role), with_password)
    )
    for each in roles:
        grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(each), sql.Identifier(role))
        connection.execute(grant)
