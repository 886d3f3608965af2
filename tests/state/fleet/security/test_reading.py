"""Nobody sees what is not theirs: tenants, machines, readers, and whoever was revoked."""

import psycopg
import pytest

from tests.state.fleet.security.attack import (
    IDS,
    SECRET,
    Prey,
    changed,
    columns,
    refused,
    relations,
    run,
    views,
)

OPEN = {"threadkeep.fleet_version"}
"""What every login may see."""


def test_a_reader_sees_the_rows_of_one_tenant_in_every_view(prey: Prey) -> None:
    with psycopg.connect(prey.fleet.admin) as admin:
        machines = [id_ for (id_,) in admin.execute("SELECT machine_id FROM threadkeep.machines")]
    tenants = {prey.snoop: {prey.who["victim"][0]}, prey.stranger: {prey.who["elsewhere"][0]}}
    known = {view: columns(prey.fleet, view) for view in views(prey.fleet)}
    for address, own in tenants.items():
        seen: set[int] = set()
        with psycopg.connect(address) as reader:
            for machine in machines:  # which the views of one machine ask for
                reader.execute(f"SET threadkeep.machine_id = {machine}")
                for view, names in known.items():
                    if "tenant_id" in names:
                        there = reader.execute(f"SELECT DISTINCT tenant_id FROM {view}")
                        seen |= {tenant for (tenant,) in there}
                    else:
                        assert view.rpartition(".")[2] in ("fleet_version", "path_aliases"), view
        assert seen == own


def test_all_texts_that_a_reader_sees_are_of_the_tenant(prey: Prey) -> None:
    query = "SELECT id FROM threadkeep_index.threads"
    assert {id_ for (id_,) in run(prey.stranger, query)} == {IDS["elsewhere"]}
    assert {id_ for (id_,) in run(prey.snoop, query)} == {IDS["victim"], IDS["mallory"]}


def test_readers_have_no_table(prey: Prey) -> None:
    for address in prey.readers:
        with psycopg.connect(address, autocommit=True) as reader:
            for table in {*relations(prey.fleet, "rpS")} - OPEN:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(f"SELECT count(*) FROM {table}")
        refused(address, "COPY threadkeep.threads TO STDOUT")


def test_machines_have_no_view_partition_or_list_of_logins(prey: Prey) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as machine:
        for relation in [*views(prey.fleet), *relations(prey.fleet, "rS")]:
            if relation not in (*OPEN, "threadkeep.machines", "threadkeep.rollouts"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    machine.execute(f"SELECT * FROM {relation}")


def test_a_machine_sees_its_own_rows_in_every_table(prey: Prey) -> None:
    tables = [*relations(prey.fleet, "p"), "threadkeep.machines", "threadkeep.rollouts"]
    with psycopg.connect(prey.mallory) as machine:
        for table in tables:
            rows = machine.execute(f"SELECT DISTINCT tenant_id, machine_id FROM {table}")
            assert rows.fetchall() == [prey.who["mallory"]], table


def test_who_was_revoked_sees_nothing(prey: Prey) -> None:
    with psycopg.connect(prey.revoked) as machine:
        machine.execute("SELECT set_config('threadkeep.machine_id', '1', false)")
        for relation in [*views(prey.fleet), *relations(prey.fleet, "p"), "threadkeep.machines"]:
            if "tenant_id" in columns(prey.fleet, relation):
                found = machine.execute(f"SELECT count(tenant_id) FROM {relation}")
                assert found.fetchone() == (0,), relation


def test_row_security_holds_where_somebody_grants_more_than_we_do(prey: Prey) -> None:
    tables = [table for table in relations(prey.fleet, "rp") if table not in OPEN]
    known = {table: columns(prey.fleet, table) for table in tables}
    used = "USAGE ON SCHEMA threadkeep, threadkeep_index, threadkeep_machine"
    granted = f"ALL ON {', '.join([*tables, *views(prey.fleet)])}"
    for address in (prey.snoop, prey.stranger, prey.mallory, prey.revoked):
        role = address.rpartition("user=")[2]
        run(prey.fleet.admin, f"GRANT {granted} TO {role}", f"GRANT {used} TO {role}")
        try:
            own = [prey.who["mallory"]] * (address == prey.mallory)
            with psycopg.connect(address, autocommit=True) as connection:
                for table in tables:
                    who = "tenant_id, machine_id"
                    who = who if "machine_id" in known[table] else "1, 2"
                    found = connection.execute(f"SELECT DISTINCT {who} FROM {table}").fetchall()
                    assert found in ([], own), (role, table)
                    if not own:
                        assert connection.execute(f"DELETE FROM {table}").rowcount == 0
            assert changed(address, "UPDATE threadkeep_index.threads SET title = 'x'") == 0
            assert changed(address, "DELETE FROM threadkeep_index.machines") == 0
        finally:
            run(prey.fleet.admin, f"REVOKE {granted} FROM {role}", f"REVOKE {used} FROM {role}")


def test_others_notes_are_not_found_by_a_search_for_them(prey: Prey) -> None:
    for relation in ("threads", "user_data"):
        column = "title" if relation == "threads" else "value"
        query = f"SELECT * FROM threadkeep_index.{relation} WHERE {column} LIKE '%{SECRET}%'"
        assert len(run(prey.stranger, query)) == 1
        assert len(run(prey.snoop, query)) == 2
