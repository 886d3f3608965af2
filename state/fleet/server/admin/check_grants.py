"""What is granted in the schemas of a fleet, and to whom; and that nothing else is in them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from state.checks.findings import ERROR, WARNING, Finding, kinds
from state.fleet.server import schema

if TYPE_CHECKING:
    import psycopg

KINDS: Final = kinds(
    (ERROR, "threadkeep fleet upgrade", "fleet_schema"),
    (ERROR, None, "fleet_encoding fleet_extension fleet_role fleet_login fleet_row_security"),
    (ERROR, None, "fleet_policy fleet_grant fleet_object fleet_database"),
    (WARNING, None, "fleet_public"),
)
"""All that is found in a fleet."""
_OURS: Final = "ARRAY['threadkeep', 'threadkeep_index', 'threadkeep_machine']::regnamespace[]"
_NOT_OF_EXTENSIONS: Final = (
    "NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = '{0}'::regclass AND objid = o.oid"
    " AND deptype = 'e')"
)
_GRANTS: Final = f"""
    WITH granted AS (
        SELECT 'schema' AS kind, o.oid::regnamespace::text AS name, NULL AS part,
            o.nspowner AS owner,
            coalesce(o.nspacl, acldefault('n', o.nspowner)) AS acl
        FROM pg_namespace o WHERE o.oid = ANY({_OURS})
        UNION ALL
        SELECT CASE WHEN o.relkind = 'S' THEN 'sequence' WHEN o.relkind = 'v' THEN 'view'
                WHEN o.relispartition THEN 'partition' ELSE 'table' END,
            o.oid::regclass::text, NULL, o.relowner,
            coalesce(o.relacl, acldefault(
                CASE o.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", o.relowner))
        FROM pg_class o
        WHERE o.relnamespace = ANY({_OURS}) AND o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        UNION ALL
        SELECT 'table', o.oid::regclass::text, a.attname, o.relowner, a.attacl
        FROM pg_class o JOIN pg_attribute a ON a.attrelid = o.oid
        WHERE o.relnamespace = ANY({_OURS}) AND a.attacl IS NOT NULL
        UNION ALL
        SELECT 'function', o.oid::regprocedure::text, NULL, o.proowner,
            coalesce(o.proacl, acldefault('f', o.proowner))
        FROM pg_proc o WHERE o.pronamespace = ANY({_OURS})
            AND {_NOT_OF_EXTENSIONS.format("pg_proc")}
    )
    SELECT kind, name, part, privilege_type, is_grantable,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
    FROM granted, aclexplode(acl)
    WHERE grantee <> owner
    ORDER BY 1, 2, 3, 4, 6
"""
_OBJECTS: Final = f"""
    SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END,
        o.oid::regclass::text, relowner::regrole::text,
        coalesce('security_invoker=true' = ANY(reloptions), false)
    FROM pg_class o WHERE relnamespace = ANY({_OURS}) AND relkind NOT IN ('i', 'I', 't', 'c')
    UNION ALL
    SELECT 'function', o.oid::regprocedure::text, proowner::regrole::text,
        prosecdef AND NOT coalesce((SELECT bool_or(setting ~ '^search_path=.*pg_temp$')
            FROM unnest(proconfig) AS of(setting)), false)
    FROM pg_proc o WHERE pronamespace = ANY({_OURS}) AND {_NOT_OF_EXTENSIONS.format("pg_proc")}
    UNION ALL
    SELECT 'trigger', o.tgname || ' of ' || tgrelid::regclass, p.proowner::regrole::text,
        tgenabled <> 'O'
    FROM pg_trigger o JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
    WHERE c.relnamespace = ANY({_OURS}) AND NOT tgisinternal AND tgparentid = 0
    UNION ALL
    SELECT 'rule', o.rulename || ' of ' || ev_class::regclass, '', false
    FROM pg_rewrite o JOIN pg_class c ON c.oid = ev_class
    WHERE c.relnamespace = ANY({_OURS}) AND o.rulename <> '_RETURN'
    ORDER BY 1, 2
"""
_UNSAFE: Final = {
    "view": "reads as the one who asks, who may not",
    "function": "finds what others have put into its way: it has no search_path of its own",
    "trigger": "is off",
}
_NOT_MINE: Final = {
    "machines": {"machine_id", "tenant_id", "name", "user_name", "role_name", "revoked_at"},
    "rollouts": {"machine_id", "tenant_id", "path"},
}
"""Where a machine changes its own rows, and the columns that it never writes there. It may change
no table as a whole: whoever may update all of one, or delete from it, may lock it, too."""

_CALLED: Final = {
    "push_threads": schema.MACHINE,
    **dict.fromkeys(
        ("text_rows", "text_matches", "text_counts", "text_scores", "title_rows", "folders_called"),
        schema.READER,
    ),
}
"""The functions that look past row security for a role, by name."""


def check_grants(connection: "psycopg.Connection[Any]") -> Iterator[Finding]:
    """What is granted that should not be, and the other way round."""
    granted = set()
    for kind, name, part, privilege, can_pass_on, to in connection.execute(_GRANTS).fetchall():
        granted.add((to, name, privilege))
        is_allowed = _is_allowed(kind, name, part, privilege, to)
        if can_pass_on or not is_allowed:
            what = f"the column {part} of {name}" if part else f"the {kind} {name}"
            columns = f" ({part})" if part else ""
            of = "TABLE" if kind in ("view", "partition") else kind.upper()
            passes_on = ", and may pass it on" if can_pass_on else ""
            only = "GRANT OPTION FOR " if is_allowed else ""
            yield Finding(
                KINDS["fleet_grant"],
                f"{to} has the privilege {privilege} on {what}{passes_on}.",
                mend=f"REVOKE {only}{privilege}{columns} ON {of} {name} FROM {to}",
            )
    for to, name, privilege, of in _needed(connection):
        if (to, name, privilege) not in granted:
            yield Finding(
                KINDS["fleet_grant"],
                f"{to} lacks the privilege {privilege} on {name}.",
                mend=f"GRANT {privilege} ON {of} {name} TO {to}",
            )


def check_objects(connection: "psycopg.Connection[Any]") -> Iterator[Finding]:
    """What others have put into the schemas of the fleet, or changed there."""
    for kind, name, owner, is_unsafe in connection.execute(_OBJECTS).fetchall():
        if owner not in (schema.OWNER, schema.ADMIN) and name != "threadkeep.fleet_version":
            whose = f" of {owner}" if owner else ""
            yield Finding(
                KINDS["fleet_object"], f"There is a {kind}{whose} that is not ours: {name}."
            )
        if is_unsafe:
            yield Finding(KINDS["fleet_object"], f"The {kind} {name} {_UNSAFE[kind]}.")


def _is_allowed(kind: str, name: str, part: str | None, privilege: str, to: str) -> bool:
    in_schema, _, table = name.rpartition(".")
    if to in (schema.OWNER, schema.ADMIN):
        return True
    if to not in (schema.READER, schema.MACHINE) or kind == "partition":
        return False
    if kind == "function":
        return True
    if kind == "schema":
        return privilege == "USAGE"
    if name == "threadkeep.fleet_version":
        return privilege == "SELECT"
    if to == schema.READER:
        return kind == "view" and in_schema != schema.NAME and privilege == "SELECT"
    if kind != "table" or table in ("logins", "tenants"):
        return False
    if privilege == "SELECT":
        return table != "threads" or part not in (None, "newest")
    if privilege == "INSERT":  # of threads it writes by push_threads alone
        return table not in ("threads", "machines")
    of_others = _NOT_MINE.get(table)
    return privilege == "UPDATE" and of_others is not None and part not in {None, *of_others}


def _needed(connection: "psycopg.Connection[Any]") -> Iterator[tuple[str, str, str, str]]:
    """Grants without which nothing can be read or pushed."""
    for name in (schema.NAME, schema.VIEWS, schema.MACHINE_VIEWS):
        yield schema.READER, name, "USAGE", "SCHEMA"
    yield schema.MACHINE, schema.NAME, "USAGE", "SCHEMA"
    for name in ("my_tenant()", "my_machine()"):
        for to in (schema.READER, schema.MACHINE):
            yield to, f"threadkeep.{name}", "EXECUTE", "FUNCTION"
    for kind, name, *_ in connection.execute(_OBJECTS).fetchall():
        if kind == "view":
            yield schema.READER, name, "SELECT", "TABLE"
        called = name.partition("(")[0].removeprefix("threadkeep.")
        if kind == "function" and called in _CALLED:
            yield _CALLED[called], name, "EXECUTE", "FUNCTION"
    for name, table in schema.metadata.tables.items():
        if table is not schema.threads:
            yield schema.MACHINE, name, "INSERT", "TABLE"
