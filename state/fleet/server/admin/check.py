"""Check that a fleet is as the migrations have made it, and that nobody can do more than they
should: what one tenant has is kept from another by roles, grants and policies alone."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from state.checks.findings import Finding, Findings
from state.errors import FleetMissing, FleetTooNew
from state.fleet.server import schema
from state.fleet.server.admin.check_grants import KINDS, check_grants, check_objects
from state.fleet.server.admin.setup import revision
from state.fleet.server.connect import administering

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

_ATTRIBUTES: Final = ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION", "LOGIN")
_ROLES: Final = """
    SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin,
        ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)
    FROM pg_roles r WHERE rolname = ANY(%s)
"""
_LOGINS: Final = """
    SELECT role_name, machine_id IS NOT NULL, reads, revoked_at IS NOT NULL FROM threadkeep.logins
"""
_TABLES: Final = """
    SELECT relname, relrowsecurity AND relforcerowsecurity, relispartition,
        EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = c.oid AND attname = 'machine_id'),
        EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')
    FROM pg_class c WHERE relnamespace = 'threadkeep'::regnamespace AND relkind IN ('r', 'p')
    ORDER BY 1
"""
_POLICIES: Final = """
    SELECT polrelid::regclass::text, polname, polpermissive, polcmd::text,
        ARRAY(SELECT CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END
            FROM unnest(polroles) AS of(role)),
        coalesce(pg_get_expr(polqual, polrelid), ''),
        coalesce(pg_get_expr(polwithcheck, polrelid), '')
    FROM pg_policy JOIN pg_class c ON c.oid = polrelid
    WHERE relnamespace = 'threadkeep'::regnamespace ORDER BY 1, 2
"""
_EXEMPT: Final = "fleet_version"
"""The table of Alembic, which has nothing to keep from anybody."""
_TENANT, _MACHINE = "my_tenant()", "my_machine()"


def check_fleet(address: str) -> Findings:
    """What is wrong with the fleet at ``address``.

    Raises:
        FleetError: PostgreSQL does not answer, there is no fleet, or this user may not look.
        PostgresTooOld, FleetTooNew: nothing can be said of what is there.
    """
    found = Findings()
    with administering(address) as connection:
        there = revision(connection)
        if there is None:
            raise FleetMissing(connection.info.dbname)
        if there > schema.HEAD:
            raise FleetTooNew(there, schema.HEAD)
        if there < schema.HEAD:
            message = "The tables are older than this threadkeep."
            found.add(Finding(KINDS["fleet_schema"], message, measured=there, expected=schema.HEAD))
        for finding in _findings(connection):
            found.add(finding)
    return found


def _findings(connection: "Connection") -> Iterator[Finding]:
    yield from _check_database(connection)
    yield from _check_roles(connection)
    yield from _check_logins(connection)
    yield from _check_row_security(connection)
    yield from check_grants(connection)
    yield from check_objects(connection)


def _check_database(connection: "Connection") -> Iterator[Finding]:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        yield _finding(
            "fleet_encoding",
            "The database is not in UTF-8.",
            encoding,
            "UTF8",
            "move it to another",
        )
    if not _one(connection, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'"):
        yield _finding(
            "fleet_extension",
            "The extension pg_trgm is missing: words are found slowly, or not at all.",
            mend="CREATE EXTENSION pg_trgm",
        )
    name = connection.info.dbname
    for role, privilege in (
        (schema.MACHINE, "CONNECT"),
        (schema.READER, "CONNECT"),
        (schema.MACHINE, "TEMPORARY"),
    ):
        if not _one(
            connection,
            "SELECT has_database_privilege(r.oid, current_database(), %s)"
            " FROM pg_roles r WHERE rolname = %s UNION ALL SELECT true",
            privilege,
            role,
        ):
            yield _finding(
                "fleet_database",
                f"{role} lacks the privilege {privilege} on the database.",
                mend=f'GRANT {privilege} ON DATABASE "{name}" TO {role}',
            )
    if _one(
        connection,
        "SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = 'public'"
        " AND a.grantee = 0 AND a.privilege_type = 'CREATE'",
    ):
        yield _finding(
            "fleet_public",
            "Whoever can log in can make functions that others take for PostgreSQL's own.",
            mend="REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        )


def _check_roles(connection: "Connection") -> Iterator[Finding]:
    known = {row[0]: row for row in connection.execute(_ROLES, [[*schema.ROLES]]).fetchall()}
    for role in schema.ROLES:
        if role not in known:
            yield _finding("fleet_role", f"The role {role} is missing.", mend=f"CREATE ROLE {role}")
            continue
        *attributes, member_of = known[role][1:]
        yield from _check_attributes("fleet_role", role, attributes, _ATTRIBUTES)
        yield from _check_groups("fleet_role", role, member_of, ())


def _check_logins(connection: "Connection") -> Iterator[Finding]:
    logins = {row[0]: row[1:] for row in connection.execute(_LOGINS).fetchall()}
    known = {row[0]: row[1:] for row in connection.execute(_ROLES, [[*logins]]).fetchall()}
    for role, (is_machine, reads, is_revoked) in logins.items():
        if role not in known:
            if not is_revoked:
                yield _finding("fleet_login", f"The login {role} is no role of PostgreSQL.")
            continue
        *attributes, member_of = known[role]
        wrong = _ATTRIBUTES if is_revoked else _ATTRIBUTES[:-1]
        yield from _check_attributes("fleet_login", role, attributes, wrong)
        groups = [*[schema.MACHINE] * is_machine, *[schema.READER] * reads]
        yield from _check_groups("fleet_login", role, member_of, groups)
        for group in {*groups} - {*member_of}:
            yield _finding(
                "fleet_login",
                f"The login {role} is no member of {group}.",
                mend=f'GRANT {group} TO "{role}"',
            )


def _check_attributes(
    code: str, role: str, attributes: Iterable[bool], wrong: Iterable[str]
) -> Iterator[Finding]:
    has = [name for name, there in zip(_ATTRIBUTES, attributes, strict=True) if there]
    for name in {*has} & {*wrong}:
        yield _finding(
            code, f"The role {role} has the attribute {name}.", mend=f'ALTER ROLE "{role}" NO{name}'
        )


def _check_groups(
    code: str, role: str, member_of: Iterable[str], right: Iterable[str]
) -> Iterator[Finding]:
    for group in sorted({*member_of} - {*right}):
        yield _finding(
            code,
            f"The role {role} has all that {group} may do.",
            mend=f'REVOKE {group} FROM "{role}"',
        )


def _check_row_security(connection: "Connection") -> Iterator[Finding]:
    policies: dict[str, dict[str, tuple[Any, ...]]] = {}
    for table, name, *rest in connection.execute(_POLICIES).fetchall():
        policies.setdefault(table.removeprefix("threadkeep."), {})[name] = tuple(rest)
    for table, is_forced, is_partition, has_machine, has_tenant in connection.execute(
        _TABLES
    ).fetchall():
        if table == _EXEMPT:
            continue
        if not is_forced:
            yield _finding(
                "fleet_row_security",
                f"Row security of the table {table} is off, or not forced.",
                mend=f"ALTER TABLE threadkeep.{table} ENABLE ROW LEVEL SECURITY,"
                " FORCE ROW LEVEL SECURITY",
            )
        right = {} if is_partition else _right_policies(table, has_machine, has_tenant)
        there = policies.get(table, {})
        for name in sorted(there.keys() - right.keys()):
            yield _finding(
                "fleet_policy",
                f"The table {table} has a policy {name} that lets others in.",
                mend=f'DROP POLICY "{name}" ON threadkeep.{table}',
            )
        for name, policy in right.items():
            if not _is_right(there.get(name), *policy):
                yield _finding(
                    "fleet_policy",
                    f"The policy {name} of the table {table} is missing, or another one.",
                )


def _right_policies(
    table: str, has_machine: bool, has_tenant: bool
) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """The role, command and conditions of each policy that a table has to have."""
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {
        "administrators": (schema.ADMIN, "*", ("true",))
    }
    if table != "logins" and has_tenant:
        found["readers"] = (schema.OWNER, "r", (_TENANT,))
        if has_machine:
            found["machines"] = (schema.MACHINE, "*", (_TENANT, _MACHINE))
    return found


def _is_right(
    policy: tuple[Any, ...] | None, role: str, command: str, conditions: tuple[str, ...]
) -> bool:
    if policy is None:
        return False
    is_permissive, of, roles, using, check = policy
    return (
        is_permissive
        and (of, roles) == (command, [role])
        and _says(using, conditions)
        and (command == "r" or _says(check, conditions))
    )


def _says(expression: str, conditions: tuple[str, ...]) -> bool:
    """Whether an expression is that all of the conditions hold, and no other."""
    if conditions == ("true",):
        return expression == "true"
    parts = expression.strip("()").split(" AND ")
    return (
        len(parts) == len(conditions)
        and all(each in part for each, part in zip(conditions, parts, strict=True))
        and " OR " not in expression
    )


def _one(connection: "Connection", query: str, *values: str) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def _finding(
    code: str,
    message: str,
    measured: str | None = None,
    expected: str | None = None,
    mend: str | None = None,
) -> Finding:
    return Finding(KINDS[code], message, measured=measured, expected=expected, mend=mend)
