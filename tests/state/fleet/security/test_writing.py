"""A machine writes its own rows and no others, whatever it sends; a reader writes nothing."""

from uuid import UUID

import psycopg
import pytest

from tests.state.fleet.security.attack import (
    DENIED,
    IDS,
    SECRET,
    Prey,
    changed,
    insert,
    refused,
    relations,
    run,
    views,
)

OF_MACHINES = (
    "threads",
    "user_data",
    "thread_usage",
    "thread_limits",
    "documents",
    "pieces",
    "rollouts",
)
VICTIM = IDS["victim"]
FORBIDDEN = (
    "UPDATE threadkeep.threads SET newest = true",
    "UPDATE threadkeep.threads SET title = 'x'",
    "DELETE FROM threadkeep.threads",
    "SELECT 1 FROM threadkeep.threads FOR SHARE",
    "SELECT newest FROM threadkeep.threads",
    "SELECT threadkeep.choose_newest(1, '{}')",
    "UPDATE threadkeep.user_data SET machine_id = 1",
    "UPDATE threadkeep.user_data SET value = 'x'",
    "UPDATE threadkeep.rollouts SET path = 'x'",
    *(f"DELETE FROM threadkeep.{table}" for table in OF_MACHINES[1:]),
    "UPDATE threadkeep.documents SET tenant_id = 2",
    "UPDATE threadkeep.machines SET machine_id = DEFAULT",
    "UPDATE threadkeep.machines SET tenant_id = 2",
    "UPDATE threadkeep.machines SET name = 'victim'",
    "UPDATE threadkeep.machines SET user_name = 'alice'",
    "UPDATE threadkeep.machines SET role_name = 'postgres'",
    "UPDATE threadkeep.machines SET revoked_at = NULL",
    "UPDATE threadkeep.logins SET tenant_id = 2",
    "UPDATE threadkeep.tenants SET name = 'x'",
    "INSERT INTO threadkeep.threads (newest) VALUES (true)",
    "INSERT INTO threadkeep.threads (id) VALUES ('x')",
    "INSERT INTO threadkeep.threads_0 (id) VALUES ('x')",
    "INSERT INTO threadkeep.machines (tenant_id, name, role_name) VALUES (1, 'x', 'x')",
    "INSERT INTO threadkeep.logins VALUES ('x', 1, 1, true)",
    "INSERT INTO threadkeep.tenants (name) VALUES ('x')",
    "UPDATE threadkeep.fleet_version SET version_num = 'f9999'",
    "DELETE FROM threadkeep.fleet_version",
    "TRUNCATE threadkeep.user_data",
    "TRUNCATE threadkeep.documents_other",
    "SELECT setval('threadkeep.row_ids', 1)",
    "SELECT nextval('threadkeep.row_ids')",
    "LOCK TABLE threadkeep.threads IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE threadkeep.machines IN ACCESS EXCLUSIVE MODE",
    "COPY threadkeep.threads_1 TO STDOUT",
    "CREATE INDEX ON threadkeep.documents (text)",
)


def test_no_row_is_put_in_for_others(prey: Prey) -> None:
    own_tenant, own = prey.who["mallory"]
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        for table in OF_MACHINES[1:]:
            for whose in ("victim", "elsewhere"):
                tenant, machine = prey.who[whose]
                for who in {(tenant, machine), (tenant, own), (own_tenant, machine)}:
                    if who != (own_tenant, own):
                        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
                            insert(connection, table, who)


def test_rows_of_others_are_neither_changed_nor_deleted(prey: Prey) -> None:
    for whose in ("victim", "elsewhere"):
        tenant, machine = prey.who[whose]
        theirs = f"WHERE tenant_id = {tenant} AND machine_id = {machine}"
        update = f"UPDATE threadkeep.rollouts SET thread_id = 'x' {theirs}"
        assert changed(prey.mallory, update) == 0
        assert changed(prey.mallory, f"UPDATE threadkeep.machines SET sequence = 99 {theirs}") == 0
    refused(prey.mallory, "DELETE FROM threadkeep.machines")


def removals(prey: Prey, whose: str) -> dict[str, str]:
    """What removes the contents of the thread of a machine from each table, as that machine."""
    own = f"FROM threadkeep.threads WHERE id = '{IDS[whose]}'"
    ((row_id,),) = run(prey.fleet.admin, f"SELECT row_id {own}")
    return {
        "documents": f"threadkeep.remove_documents('{{1970-01-01}}', '{{{row_id}}}')",
        "rollouts": f"threadkeep.remove_rollouts('{{{whose}}}', '{{{IDS[whose]}}}')",
        "pieces": f"threadkeep.remove_unused_pieces('{{{IDS[whose]}}}', '{{2026-11-01}}')",
    }


def test_contents_of_others_are_not_removed(shared_prey: Prey) -> None:
    prey = shared_prey
    for whose in ("victim", "elsewhere"):
        with psycopg.connect(getattr(prey, whose), autocommit=True) as owner:
            insert(owner, "pieces", prey.who[whose], digest=UUID(IDS[whose]).bytes + b"x")
            insert(owner, "rollouts", prey.who[whose], path=whose)
        before = prey.everything()
        for call in removals(prey, whose).values():
            run(prey.mallory, f"SELECT {call}")
            run(prey.revoked, f"SELECT {call}")
            refused(prey.snoop, f"SELECT {call}")
        assert prey.everything() == before
        for table, call in removals(prey, whose).items():
            run(getattr(prey, whose), f"SELECT {call}")
            left = prey.everything().get(f"threadkeep.{table}", [])
            removed = 2 if table == "rollouts" else 1  # by its path, and by its thread
            assert len(left) == len(before[f"threadkeep.{table}"]) - removed


ABOVE_ROW_EXCLUSIVE = (
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


def test_nobody_locks_a_table_that_others_need(prey: Prey) -> None:
    everything = [*views(prey.fleet), *relations(prey.fleet, "rp")]
    for address in (prey.mallory, prey.revoked, *prey.readers):
        with psycopg.connect(address) as connection:
            for mode in ABOVE_ROW_EXCLUSIVE:
                for relation in everything:
                    with (
                        pytest.raises(psycopg.errors.InsufficientPrivilege),
                        connection.transaction(),
                    ):
                        connection.execute(f"LOCK TABLE {relation} IN {mode} MODE NOWAIT")
            if address == prey.mallory:  # a view of its own is no way around that
                connection.execute("CREATE TEMPORARY VIEW v AS TABLE threadkeep.rollouts")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("LOCK TABLE v IN SHARE MODE NOWAIT")


def test_what_a_machine_may_not_do(prey: Prey) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        for statement in FORBIDDEN:
            done = f"DO $$ BEGIN {statement}; END $$" if statement[:4] == "LOCK" else statement
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(done)


def test_rows_of_others_are_not_changed_by_a_conflict_with_them(prey: Prey) -> None:
    tenant, machine = prey.who["victim"]
    into = (
        "INSERT INTO threadkeep.user_data (tenant_id, machine_id, thread_id, key, value, set_at_ms)"
        f" VALUES ({tenant}, {machine}, '{VICTIM}', 'note', 'x', 0) ON CONFLICT"
    )
    for then in ("DO NOTHING", "(tenant_id, thread_id, machine_id, key) DO UPDATE SET value = 'x'"):
        assert SECRET not in refused(prey.mallory, f"{into} {then}")


def test_what_belongs_to_a_thread_of_others_is_shown_nowhere(prey: Prey) -> None:
    ((row_id,),) = run(
        prey.fleet.admin, f"SELECT row_id FROM threadkeep.threads WHERE id = '{VICTIM}'"
    )
    tables = ("user_data", "thread_usage", "thread_limits")

    def shown() -> list[object]:
        return [run(prey.snoop, f"SELECT * FROM threadkeep_index.{each}") for each in tables]

    before = shown()
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.NotNullViolation):  # it has no copy to take times from
            insert(connection, "user_data", prey.who["mallory"], thread_id=VICTIM, key="name")
        for table in tables[1:]:
            insert(connection, table, prey.who["mallory"], row_id=row_id)
    assert shown() == before
    name = "SELECT name FROM threadkeep_index.threads WHERE id = %s"
    with psycopg.connect(prey.snoop) as snoop:
        assert snoop.execute(name, [VICTIM]).fetchall() == [("x",)]
    own = f"row_id = {row_id} AND machine_id = {prey.who['mallory'][1]}"
    for table in tables[1:]:
        assert changed(prey.fleet.admin, f"DELETE FROM threadkeep.{table} WHERE {own}") == 1


def test_documents_for_a_thread_of_others_are_shown_nowhere(prey: Prey) -> None:
    ((row_id,),) = run(
        prey.fleet.admin, f"SELECT row_id FROM threadkeep.threads WHERE id = '{VICTIM}'"
    )
    before = run(prey.snoop, "SELECT * FROM threadkeep_index.documents ORDER BY 1, 2, 3, 4, 5")
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        wrong = {"row_id": row_id, "position": 5, "digest": "bad", "month": "1970-01-01"}
        insert(connection, "documents", prey.who["mallory"], **wrong)
    after = run(prey.snoop, "SELECT * FROM threadkeep_index.documents ORDER BY 1, 2, 3, 4, 5")
    run(prey.mallory, f"SELECT threadkeep.remove_documents('{{1970-01-01}}', '{{{row_id}}}')")
    assert after == before


def test_copy_takes_no_rows_past_row_security(prey: Prey) -> None:
    no = (psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        for table in ("rollouts", "user_data", "documents_other"):
            with (
                pytest.raises(no),
                connection.cursor().copy(f"COPY threadkeep.{table} FROM STDIN") as copy,
            ):
                copy.write("\n")


def test_a_reader_writes_nothing(prey: Prey) -> None:
    for address in prey.readers:
        with psycopg.connect(address, autocommit=True) as reader:
            for relation in [*views(prey.fleet), *relations(prey.fleet, "rp")]:
                for statement in (
                    f"DELETE FROM {relation}",
                    f"INSERT INTO {relation} DEFAULT VALUES",
                    f"SELECT 1 FROM {relation} FOR UPDATE",
                ):
                    with pytest.raises(psycopg.Error) as caught:
                        reader.execute(statement)
                    assert caught.value.sqlstate in (DENIED, "55000"), statement
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT nextval('threadkeep.row_ids')")


def test_who_was_revoked_writes_nothing(prey: Prey) -> None:
    tenant, machine = prey.who["victim"]
    no = (psycopg.errors.InsufficientPrivilege, psycopg.errors.NotNullViolation)
    with psycopg.connect(prey.revoked, autocommit=True) as connection:
        for who in ((tenant, machine), (tenant, None), (None, None)):
            with pytest.raises(no):
                insert(connection, "rollouts", who)
        assert connection.execute("UPDATE threadkeep.machines SET pending = 9").rowcount == 0
