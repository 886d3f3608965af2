"""A machine writes its own rows and no others, whatever it sends; a reader writes nothing."""

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
VICTIM, MINE = IDS["victim"], IDS["mallory"]
FORBIDDEN = (
    "UPDATE threadkeep.threads SET newest = true",
    "UPDATE threadkeep.threads SET row_id = 1",
    "UPDATE threadkeep.threads SET tenant_id = 2",
    "UPDATE threadkeep.threads SET machine_id = 1",
    f"UPDATE threadkeep.threads SET id = '{VICTIM}'",
    "UPDATE threadkeep.user_data SET machine_id = 1",
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
    "INSERT INTO threadkeep.threads (row_id) VALUES (1)",
    "INSERT INTO threadkeep.threads_0 (id) VALUES ('x')",
    "INSERT INTO threadkeep.machines (tenant_id, name, role_name) VALUES (1, 'x', 'x')",
    "INSERT INTO threadkeep.logins VALUES ('x', 1, 1, true)",
    "INSERT INTO threadkeep.tenants (name) VALUES ('x')",
    "UPDATE threadkeep.fleet_version SET version_num = 'f9999'",
    "DELETE FROM threadkeep.fleet_version",
    "SELECT 1 FROM threadkeep.locks FOR SHARE",
    "INSERT INTO threadkeep.locks VALUES (1, 256)",
    "TRUNCATE threadkeep.user_data",
    "TRUNCATE threadkeep.documents_other",
    "SELECT setval('threadkeep.row_ids', 1)",
    "LOCK TABLE threadkeep.threads IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE threadkeep.machines IN ACCESS EXCLUSIVE MODE",
    "COPY threadkeep.threads_1 TO STDOUT",
    "CREATE INDEX ON threadkeep.documents (text)",
)


def test_no_row_is_put_in_for_others(prey: Prey) -> None:
    own_tenant, own = prey.who["mallory"]
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        for table in OF_MACHINES:
            new = {"id": "f" * 36} if table == "threads" else {}
            for whose in ("victim", "elsewhere"):
                tenant, machine = prey.who[whose]
                for who in {(tenant, machine), (tenant, own), (own_tenant, machine)}:
                    if who != (own_tenant, own):
                        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
                            insert(connection, table, who, **new)


def test_rows_of_others_are_neither_changed_nor_deleted(prey: Prey) -> None:
    for whose in ("victim", "elsewhere"):
        tenant, machine = prey.who[whose]
        theirs = f"WHERE tenant_id = {tenant} AND machine_id = {machine}"
        changes = {"threads": "title", "user_data": "value", "rollouts": "thread_id"}
        for table, column in changes.items():
            update = f"UPDATE threadkeep.{table} SET {column} = 'x' {theirs}"
            assert changed(prey.mallory, update) == 0
        for table in OF_MACHINES[1:]:
            assert changed(prey.mallory, f"DELETE FROM threadkeep.{table} {theirs}") == 0
        assert changed(prey.mallory, f"UPDATE threadkeep.machines SET sequence = 99 {theirs}") == 0
    refused(prey.mallory, "DELETE FROM threadkeep.threads")
    refused(prey.mallory, "DELETE FROM threadkeep.machines")


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
    with psycopg.connect(prey.mallory) as connection:  # of their thread, a copy of one's own
        insert(connection, "threads", prey.who["mallory"], id=VICTIM, updated_at_ms=0)
        title = "UPDATE threadkeep.threads SET title = 'x' WHERE id = %s"
        assert connection.execute(title, [VICTIM]).rowcount == 1
        connection.rollback()


def test_a_copy_of_a_thread_that_is_put_in_for_another_tenant_demotes_none(prey: Prey) -> None:
    """A trigger sees the row before row security does, and looks past that."""
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        for whose in ("victim", "elsewhere"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                insert(
                    connection,
                    "threads",
                    (prey.who[whose][0], prey.who[whose][1] + 100),
                    id=IDS[whose],
                    updated_at_ms=2**62,
                )


def test_only_machines_that_push_the_same_threads_wait_for_each_other(prey: Prey) -> None:
    lock = "SELECT threadkeep.lock_copies(%s)"
    refused(prey.snoop, "SELECT threadkeep.lock_copies('{}')")
    with (
        psycopg.connect(prey.snoop) as snoop,
        psycopg.connect(prey.stranger) as stranger,
        psycopg.connect(prey.elsewhere) as elsewhere,
        psycopg.connect(prey.mallory) as mallory,
        psycopg.connect(prey.mallory) as again,
    ):
        elsewhere.execute(lock, [[VICTIM, MINE]])
        for each in (snoop, stranger):
            each.execute(
                "SELECT pg_advisory_xact_lock_shared(%s, n) FROM generate_series(0, 255) n",
                [prey.who["mallory"][0]],
            )
        mallory.execute("SET LOCAL lock_timeout = '5s'")
        mallory.execute(lock, [[VICTIM, MINE]])
        again.execute("SET LOCAL lock_timeout = 1")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            again.execute(lock, [[VICTIM]])
        for each in (snoop, stranger, elsewhere, mallory, again):
            each.rollback()


def test_a_trigger_of_ones_own_gets_no_second_newest_copy(prey: Prey) -> None:
    """Our trigger leaves alone what happens inside of one: what it does itself."""
    with psycopg.connect(prey.mallory) as connection:
        connection.execute("CREATE TEMPORARY TABLE bait (x int)")
        connection.execute(
            "CREATE FUNCTION pg_temp.nested() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" UPDATE threadkeep.threads SET updated_at_ms = 2^62::bigint WHERE id = '{MINE}';"
            f" UPDATE threadkeep.threads SET deleted = true WHERE id = '{MINE}';"
            " RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE TRIGGER t AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION pg_temp.nested()"
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO bait VALUES (1)")


def test_what_belongs_to_a_thread_of_others_is_refused_without_a_word_of_it(prey: Prey) -> None:
    """Both of the same tenant, in which the number of a row says which thread it is."""
    ((row_id,),) = run(
        prey.fleet.admin, f"SELECT row_id FROM threadkeep.threads WHERE id = '{VICTIM}'"
    )
    said = []
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        for number in (row_id, row_id + 1000):
            for table in ("thread_usage", "thread_limits"):
                with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
                    insert(connection, table, prey.who["mallory"], row_id=number)
                said.append(str(caught.value).partition("\n")[0].rstrip("0123456789"))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            insert(connection, "user_data", prey.who["mallory"], thread_id=VICTIM)
    assert said[:2] == said[2:]  # whether there is such a thread or not


def test_documents_for_a_thread_of_others_are_shown_nowhere(prey: Prey) -> None:
    ((row_id,),) = run(
        prey.fleet.admin, f"SELECT row_id FROM threadkeep.threads WHERE id = '{VICTIM}'"
    )
    before = run(prey.snoop, "SELECT * FROM threadkeep_index.documents ORDER BY 1, 2, 3, 4, 5")
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        wrong = {"row_id": row_id, "position": 5, "digest": "bad"}
        insert(connection, "documents", prey.who["mallory"], **wrong)
    after = run(prey.snoop, "SELECT * FROM threadkeep_index.documents ORDER BY 1, 2, 3, 4, 5")
    assert changed(prey.mallory, "DELETE FROM threadkeep.documents WHERE digest = 'bad'") == 1
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
        for table in OF_MACHINES[1:]:
            assert connection.execute(f"DELETE FROM threadkeep.{table}").rowcount == 0
        assert connection.execute("UPDATE threadkeep.machines SET pending = 9").rowcount == 0
