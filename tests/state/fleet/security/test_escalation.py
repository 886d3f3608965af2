"""Nobody becomes somebody else, gets at the server, or has ours run what is theirs."""

import psycopg
import pytest

from state.fleet.server import schema
from tests.state.fleet.security.attack import (
    IDS,
    Prey,
    push_thread,
    refused,
    relations,
    run,
    views,
)

FORBIDDEN = (
    *(f"SET ROLE {role}" for role in ("threadkeep_owner", "threadkeep_admin", "postgres")),
    "SET SESSION AUTHORIZATION threadkeep_owner",
    *(f"ALTER ROLE {{me}} {word}" for word in ("SUPERUSER", "BYPASSRLS", "CREATEROLE")),
    *(f"ALTER ROLE {{me}} {word}" for word in ("REPLICATION", "CREATEDB", "RENAME TO postgres2")),
    "ALTER ROLE {victim} PASSWORD 'mine'",
    "ALTER ROLE {victim} SET search_path = pg_temp",
    "ALTER ROLE threadkeep_owner LOGIN",
    "DROP ROLE {victim}",
    "CREATE ROLE accomplice LOGIN",
    "GRANT threadkeep_owner TO {me}",
    "GRANT threadkeep_machine TO {victim}",
    "GRANT {victim} TO {me}",
    "REASSIGN OWNED BY threadkeep_owner TO {me}",
    "ALTER TABLE threadkeep.threads DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE threadkeep.threads NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE threadkeep.threads DISABLE TRIGGER ALL",
    "CREATE POLICY mine ON threadkeep.threads USING (true)",
    "DROP POLICY machines ON threadkeep.threads",
    "GRANT SELECT ON threadkeep.threads TO PUBLIC",
    "CREATE TRIGGER mine AFTER INSERT ON threadkeep.user_data EXECUTE FUNCTION"
    " suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON SELECT TO threadkeep.user_data DO INSTEAD SELECT 1",
    "CREATE OR REPLACE FUNCTION threadkeep.my_tenant() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION threadkeep.my_tenant() SET search_path = pg_temp",
    "ALTER FUNCTION threadkeep.my_tenant() SECURITY INVOKER",
    "CREATE FUNCTION threadkeep.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE threadkeep_index.threads_of_mine (x int)",
    "CREATE OR REPLACE VIEW threadkeep_index.machines AS SELECT 1",
    "ALTER VIEW threadkeep_index.threads OWNER TO {me}",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION dblink",
    "DROP EXTENSION pg_trgm",
    "ALTER DATABASE {database} SET search_path = pg_temp",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "SET session_replication_role = replica",
    "SET session_preload_libraries = 'x'",
    "SET log_statement = 'none'",
    "LOAD '/tmp/x.so'",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS '/tmp/x.so', 'f'",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'",
    "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION f()",
    "CREATE PUBLICATION mine FOR TABLE threadkeep.user_data",
    "CREATE SUBSCRIPTION mine CONNECTION '' PUBLICATION p",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_reload_conf()",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_hba_file_rules",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/x'",
    "CREATE TEMPORARY TABLE IF NOT EXISTS t (x text); COPY t FROM PROGRAM 'true'",
    "CREATE TEMPORARY TABLE IF NOT EXISTS t (x text); COPY t FROM '/etc/passwd'",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_largeobject",
)
"""What only others may do."""


def test_nobody_becomes_more_than_they_are(prey: Prey) -> None:
    no = (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)
    victim = prey.victim.rpartition("user=")[2]
    for address in (prey.mallory, prey.snoop):
        words = {"me": address.rpartition("user=")[2], "victim": victim}
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in FORBIDDEN:
                *before, last = statement.format(**words, database=prey.fleet.database).split("; ")
                for each in before:
                    connection.execute(each)
                with pytest.raises(no):
                    connection.execute(last)


def test_connections_of_others_are_neither_read_nor_ended(prey: Prey) -> None:
    with psycopg.connect(prey.victim) as victim:
        victim.execute("SELECT 'Project Nightingale'")
        pid = victim.info.backend_pid
        for address in (prey.mallory, *prey.readers):
            shown = run(address, f"SELECT query FROM pg_stat_activity WHERE pid = {pid}")
            assert shown == [("<insufficient privilege>",)]
            for function in ("pg_terminate_backend", "pg_cancel_backend"):
                refused(address, f"SELECT {function}({pid})")
        assert victim.execute("SELECT 1").fetchone() == (1,)


SHADOWS = (
    "CREATE TEMPORARY TABLE logins (role_name text, tenant_id int, machine_id int, reads bool,"
    " revoked_at timestamptz)",
    "INSERT INTO logins SELECT session_user, t, m"
    " FROM generate_series(1, 9) t, generate_series(1, 9) m",
    "CREATE TEMPORARY TABLE threads AS SELECT * FROM generate_series(1, 9)",
    "CREATE FUNCTION pg_temp.my_tenant() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.equal(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true'",
    "CREATE FUNCTION pg_temp.equal(text, name) RETURNS bool LANGUAGE sql AS 'SELECT true'",
    "CREATE OPERATOR pg_temp.= (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_temp.equal)",
    "CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = name, FUNCTION = pg_temp.equal)",
    "CREATE FUNCTION pg_temp.current_setting(text, bool) RETURNS text LANGUAGE sql"
    " AS $$SELECT '1'$$",
)
"""What looks like ours, and comes first in the path of who looks for it."""
PATHS = ("pg_temp, pg_catalog", "pg_temp, threadkeep, threadkeep_index, pg_catalog", "threadkeep")


@pytest.mark.parametrize("path", PATHS)
def test_what_looks_like_ours_is_not_taken_for_it(path: str, prey: Prey) -> None:
    names = {prey.stranger: "elsewhere", prey.snoop: "victim", prey.mallory: "mallory"}
    for address, whose in names.items():
        with psycopg.connect(address) as connection:
            for statement in SHADOWS:
                connection.execute(statement)
            connection.execute(f"SET search_path = {path}")
            who = "SELECT threadkeep.my_tenant(), threadkeep.my_machine()"
            machine = prey.who[whose][1] if address == prey.mallory else None
            assert connection.execute(who).fetchone() == (prey.who[whose][0], machine)
            if address == prey.mallory:
                ids = connection.execute("SELECT id FROM threadkeep.threads").fetchall()
                assert ids == [(IDS["mallory"],)]
                continue
            for view in views(prey.fleet):
                if view.endswith((".threads", ".machines", ".user_data")):
                    seen = connection.execute(f"SELECT DISTINCT tenant_id FROM {view}").fetchall()
                    assert seen in ([], [(prey.who[whose][0],)]), view


def test_a_function_of_ours_does_nothing_else_in_another_path(prey: Prey) -> None:
    with psycopg.connect(prey.mallory) as connection:
        for statement in SHADOWS:
            connection.execute(statement)
        connection.execute("SET search_path = pg_temp, pg_catalog")
        assert len(push_thread(connection, id=IDS["mallory"], revision=2, updated_at_ms=5)) == 1
        connection.rollback()


@pytest.mark.parametrize("setting", ["row_security = off", "threadkeep.machine_id = 1"])
def test_no_setting_opens_anything(setting: str, prey: Prey) -> None:
    for address in (prey.mallory, *prey.readers):
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"SET {setting}")
            table = "threadkeep.threads"
            if address != prey.mallory:
                table = "threadkeep_machine.threads"
            try:
                seen = {id_ for (id_,) in connection.execute(f"SELECT id FROM {table}")}
            except psycopg.errors.InsufficientPrivilege:
                continue  # which says that row security would hide something
            own = {prey.mallory: {"mallory"}, prey.snoop: {"victim"}, prey.stranger: set[str]()}
            assert seen == {IDS[name] for name in own[address]}


def test_functions_of_ours_are_nobodys_until_they_are_granted(prey: Prey) -> None:
    with psycopg.connect(prey.fleet.admin) as admin:
        for name, is_definer, setting, owner in admin.execute(
            "SELECT oid::regprocedure::text, prosecdef, proconfig, proowner::regrole::text"
            " FROM pg_proc WHERE starts_with(pronamespace::regnamespace::text, 'threadkeep')"
        ).fetchall():
            ((public,),) = admin.execute(
                "SELECT count(*) FROM pg_proc p,"
                " aclexplode(coalesce(proacl, acldefault('f', proowner)))"
                " WHERE p.oid = %s::regprocedure AND grantee = 0",
                [name],
            ).fetchall()
            assert public == 0, name
            assert owner in (schema.OWNER, schema.ADMIN), name
            if is_definer:
                path = next(each for each in setting if each.startswith("search_path="))
                assert path.endswith("pg_temp"), name


WAYS = ("advisory", "try_advisory", "advisory_xact", "try_advisory_xact")


def test_nobody_fills_the_memory_for_locks_or_the_disk(prey: Prey) -> None:
    for address in (prey.mallory, prey.revoked, *prey.readers):
        for call in (
            *(f"pg_{way}_lock{kind}(1)" for way in WAYS for kind in ("", "_shared")),
            *("lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')"),
        ):
            assert "permission denied for function" in refused(address, f"SELECT {call}")


def test_nobody_makes_anything_in_our_schemas(prey: Prey) -> None:
    for address in (prey.mallory, *prey.readers):
        for name in (schema.NAME, schema.VIEWS, schema.MACHINE_VIEWS):
            refused(address, f"CREATE VIEW {name}.mine AS SELECT 1")
            refused(address, f"CREATE FUNCTION {name}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert "threadkeep.mine" not in relations(prey.fleet, "rpv")
