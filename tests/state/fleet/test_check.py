"""``fleet check``: each way in which a fleet may be another than the migrations have made it."""

from typing import Any

import psycopg
import pytest

from state import errors
from state.checks.findings import Finding
from state.fleet.server.admin import setup
from state.fleet.server.admin.check import check_fleet
from state.fleet.server.admin.check_grants import KINDS
from state.fleet.server.admin.logins import MACHINE, let_in, revoke
from tests.support.postgres.cluster import Cluster, Fleet

FAULTS = (
    ("fleet_extension", "DROP EXTENSION pg_trgm CASCADE", "pg_trgm is missing"),
    ("fleet_database", "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC", "TEMPORARY"),
    ("fleet_database", "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC", "CONNECT"),
    ("fleet_public", "GRANT CREATE ON SCHEMA public TO PUBLIC", "make functions"),
    ("fleet_login", "ALTER ROLE {machine} BYPASSRLS", "has the attribute BYPASSRLS"),
    ("fleet_login", "ALTER ROLE {machine} SUPERUSER", "has the attribute SUPERUSER"),
    ("fleet_login", "GRANT threadkeep_admin TO {machine}", "all that threadkeep_admin may do"),
    ("fleet_login", "GRANT pg_read_all_data TO {reader}", "all that pg_read_all_data may do"),
    ("fleet_login", "GRANT threadkeep_reader TO {machine}", "all that threadkeep_reader may do"),
    ("fleet_login", "REVOKE threadkeep_machine FROM {machine}", "no member of threadkeep_machine"),
    ("fleet_login", "UPDATE threadkeep.logins SET revoked_at = now()", "the attribute LOGIN"),
    ("fleet_login", "INSERT INTO threadkeep.logins VALUES ('gone', 1, 1, true)", "is no role"),
    (
        "fleet_row_security",
        "ALTER TABLE threadkeep.threads DISABLE ROW LEVEL SECURITY",
        "threads is off",
    ),
    (
        "fleet_row_security",
        "ALTER TABLE threadkeep.threads_3 NO FORCE ROW LEVEL SECURITY",
        "threads_3 is off",
    ),
    (
        "fleet_policy",
        "CREATE POLICY all_of_it ON threadkeep.threads USING (true)",
        "policy all_of_it that lets others in",
    ),
    (
        "fleet_policy",
        "CREATE POLICY p ON threadkeep.documents_other USING (true)",
        "documents_other has a policy",
    ),
    ("fleet_policy", "DROP POLICY machines ON threadkeep.user_data", "machines of the table"),
    ("fleet_policy", "ALTER POLICY readers ON threadkeep.threads USING (true)", "another one"),
    (
        "fleet_policy",
        "ALTER POLICY machines ON threadkeep.threads WITH CHECK ("
        " tenant_id = (SELECT threadkeep.my_tenant()))",
        "another one",
    ),
    (
        "fleet_policy",
        "ALTER POLICY machines ON threadkeep.threads USING ("
        " tenant_id = (SELECT threadkeep.my_tenant())"
        " AND (machine_id = (SELECT threadkeep.my_machine()) OR true))",
        "another one",
    ),
    ("fleet_policy", "ALTER POLICY readers ON threadkeep.threads TO PUBLIC", "another one"),
    ("fleet_grant", "GRANT SELECT ON threadkeep.threads TO threadkeep_reader", "table threadkeep"),
    ("fleet_grant", "GRANT SELECT ON threadkeep.logins TO threadkeep_machine", "threadkeep.logins"),
    ("fleet_grant", "GRANT UPDATE (title) ON threadkeep.threads TO threadkeep_machine", "title"),
    ("fleet_grant", "GRANT DELETE ON threadkeep.user_data TO threadkeep_machine", "DELETE"),
    ("fleet_grant", "GRANT UPDATE ON threadkeep.rollouts TO threadkeep_machine", "UPDATE"),
    ("fleet_grant", "GRANT UPDATE (path) ON threadkeep.rollouts TO threadkeep_machine", "path"),
    ("fleet_grant", "GRANT TRUNCATE ON threadkeep.pieces TO threadkeep_machine", "TRUNCATE"),
    ("fleet_grant", "GRANT SELECT ON threadkeep.threads_1 TO {machine}", "partition"),
    ("fleet_grant", "GRANT CREATE ON SCHEMA threadkeep TO PUBLIC", "PUBLIC has the privilege"),
    (
        "fleet_grant",
        "GRANT EXECUTE ON FUNCTION threadkeep.forget_deleted() TO PUBLIC",
        "forget_deleted",
    ),
    (
        "fleet_grant",
        "GRANT SELECT ON threadkeep_index.threads TO threadkeep_reader WITH GRANT OPTION",
        "threadkeep_index.threads",
    ),
    (
        "fleet_grant",
        "REVOKE SELECT ON threadkeep_index.machines FROM threadkeep_reader",
        "lacks the privilege SELECT",
    ),
    (
        "fleet_grant",
        "REVOKE INSERT ON threadkeep.user_data FROM threadkeep_machine",
        "lacks the privilege INSERT",
    ),
    (
        "fleet_grant",
        "REVOKE EXECUTE ON FUNCTION threadkeep.push_threads FROM threadkeep_machine",
        "lacks the privilege EXECUTE on threadkeep.push_threads",
    ),
    (
        "fleet_grant",
        "REVOKE EXECUTE ON FUNCTION threadkeep.text_rows FROM threadkeep_reader",
        "lacks the privilege EXECUTE on threadkeep.text_rows",
    ),
    ("fleet_object", "CREATE TABLE threadkeep.mine (x int)", "that is not ours: threadkeep.mine"),
    (
        "fleet_object",
        "CREATE FUNCTION threadkeep_index.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "threadkeep_index.f()",
    ),
    (
        "fleet_object",
        "CREATE TRIGGER mine AFTER INSERT ON threadkeep.user_data EXECUTE FUNCTION"
        " suppress_redundant_updates_trigger()",
        "mine of threadkeep.user_data",
    ),
    (
        "fleet_object",
        "CREATE RULE mine AS ON INSERT TO threadkeep.pieces DO NOTHING",
        "mine of threadkeep.pieces",
    ),
    ("fleet_object", "ALTER TABLE threadkeep.threads DISABLE TRIGGER forget_deleted", "is off"),
    (
        "fleet_object",
        "ALTER FUNCTION threadkeep.my_tenant() RESET ALL",
        "no search_path of its own",
    ),
    ("fleet_object", "ALTER VIEW threadkeep_index.threads OWNER TO {machine}", "index.threads"),
)


@pytest.fixture(scope="module")
def checked(cluster: Cluster) -> Any:
    """A fleet with logins in which nothing is wrong."""
    from tests.support.postgres.cluster import new_fleet

    with new_fleet(cluster) as fleet:
        fleet.machine("one")
        fleet.reader()
        yield fleet


def findings(connection: "psycopg.Connection[Any]") -> list[Finding]:
    from state.fleet.server.admin.check import _findings

    return [*_findings(connection)]


def test_each_fault_is_found_with_the_statement_that_mends_it(checked: Fleet) -> None:
    """Each in a transaction that is rolled back."""
    found = set()
    names = {
        "machine": f'"{checked.database}_default_one"',
        "reader": f'"{checked.database}_default_reader"',
        "database": checked.database,
    }
    with psycopg.connect(checked.admin) as admin:
        admin.execute("SET search_path = pg_catalog, pg_temp")
        for code, statement, says in FAULTS:
            with admin.transaction(force_rollback=True):
                admin.execute(statement.format(**names))
                there = findings(admin)
                fitting = [
                    each for each in there if each.kind.code == code and says in each.message
                ]
                assert fitting, (statement, there)
                found.add(code)
                for mend in {each.mend for each in there if each.mend}:
                    admin.execute(mend)
                left = [each for each in findings(admin) if each.mend]
                assert not left, (statement, left)
        assert findings(admin) == []
    assert found == KINDS.keys() - {"fleet_schema", "fleet_encoding", "fleet_role"}


def test_the_roles_that_all_fleets_of_a_server_share_are_checked(checked: Fleet) -> None:
    """Not changed: the tests beside this one have the same roles."""
    with psycopg.connect(checked.admin) as admin:
        admin.execute("SET search_path = pg_catalog, pg_temp")
        for statement, says in (
            ("ALTER ROLE threadkeep_owner BYPASSRLS", "has the attribute BYPASSRLS"),
            ("ALTER ROLE threadkeep_reader LOGIN", "has the attribute LOGIN"),
            ("GRANT pg_read_all_stats TO threadkeep_reader", "all that pg_read_all_stats may do"),
        ):
            with admin.transaction(force_rollback=True):
                admin.execute(statement)
                (finding,) = findings(admin)
                assert finding.kind.code == "fleet_role"
                assert says in finding.message
                assert finding.mend
                admin.execute(finding.mend)
                assert findings(admin) == []


def test_tables_of_another_version_are_told(fleet: Fleet) -> None:
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        admin.execute("UPDATE threadkeep.fleet_version SET version_num = 'f0000'")
        (finding,) = check_fleet(fleet.admin).kept
        assert finding.kind.code == "fleet_schema"
        admin.execute("UPDATE threadkeep.fleet_version SET version_num = 'f9999'")
        with pytest.raises(errors.FleetTooNew):
            check_fleet(fleet.admin)


def test_who_owns_the_database_and_may_make_roles_is_administrator_enough(
    cluster: Cluster,
) -> None:
    """As on servers that others run, where nobody is a superuser."""
    name = "fleet_of_an_owner"
    with psycopg.connect(cluster.address("postgres"), autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {name} LOGIN CREATEROLE")
        superuser.execute(f"CREATE DATABASE {name} OWNER {name}")
        try:
            address = cluster.address(name, name)
            if superuser.info.server_version >= 160_000:
                # Who did not make the roles of the other fleets may not grant them either.
                with pytest.raises(errors.FleetDenied, match="WITH ADMIN OPTION") as refused:
                    setup.initialize(address)
                superuser.execute(refused.value.reason.partition(": ")[2])
            assert setup.initialize(address).before is None
            assert setup.upgrade(address).before == setup.initialize(address).revision
            assert check_fleet(address).clean
            login = let_in(address, MACHINE, "one", role=f"{name}_one")
            url = cluster.url(name, login.role)
            with psycopg.connect(url, password=login.password) as machine:
                row = machine.execute("SELECT threadkeep.my_machine()").fetchone()
                assert row == (1,)
                assert revoke(address, MACHINE, "one") == 1
                with pytest.raises(psycopg.OperationalError):
                    machine.execute("SELECT 1")
            assert check_fleet(address).clean
        finally:
            superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")
            superuser.execute(f"DROP ROLE IF EXISTS {name}_one")
            superuser.execute(f"DROP ROLE {name}")
