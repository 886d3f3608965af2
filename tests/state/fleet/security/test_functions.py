"""Functions that look past row security look at nothing that is not of the login's tenant,
whatever they are given."""

from typing import Any

import psycopg
import pytest

from tests.state.fleet.security.attack import SECRET, Prey


def definers(prey: Prey, role: str) -> list[tuple[str, list[str], list[str]]]:
    """The functions that look past row security and that a role may call: with the names and types
    of their arguments."""
    with prey.fleet.administered() as admin:
        return admin.execute(
            "SELECT proname, proargnames[1:pronargs], ARRAY("
            "  SELECT format_type(kind, NULL) FROM unnest(proargtypes::oid[]) AS of(kind))"
            " FROM pg_proc WHERE pronamespace = 'threadkeep'::regnamespace AND prosecdef"
            " AND prorettype <> 'trigger'::regtype AND pronargs > 0"
            " AND has_function_privilege(%s, oid, 'EXECUTE')",
            [role],
        ).fetchall()


def row_ids(prey: Prey, whose: str) -> set[int]:
    machine = prey.who[whose][1]
    query = f"SELECT row_id FROM threadkeep.threads WHERE machine_id = {machine}"
    with prey.fleet.administered() as admin:
        return {row_id for (row_id,) in admin.execute(query)}


def test_no_function_takes_another_tenant_than_that_of_the_login(prey: Prey) -> None:
    found = definers(prey, "threadkeep_reader")
    assert len(found) >= 3
    for name, arguments, kinds in found:
        assert arguments[0] == "tenant", f"{name} looks past row security at no certain tenant"
        rest = "".join(f", NULL::{kind}" for kind in kinds[1:])
        for address, whose in ((prey.stranger, "victim"), (prey.revoked, "victim")):
            with psycopg.connect(address, autocommit=True) as reader:
                for tenant in (str(prey.who[whose][0]), "NULL"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        reader.execute(f"SELECT * FROM threadkeep.{name}({tenant}{rest})")
                others = "SELECT threadkeep.{}(tenant_id{}) FROM generate_series(1, 9) tenant_id"
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(others.format(name, rest))


def test_machines_that_do_not_read_have_no_function(prey: Prey) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as machine:
        for name, _, kinds in definers(prey, "threadkeep_reader"):
            rest = "".join(f", NULL::{kind}" for kind in kinds[1:])
            tenant = prey.who["mallory"][0]
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="for function"):
                machine.execute(f"SELECT * FROM threadkeep.{name}({tenant}{rest})")


@pytest.mark.parametrize(
    "terms",
    [
        ["nightingale"],
        ["project nightingale", "nightingale"],
        ["%"],
        ["%%%%"],
        ["\\"],
        ["\\%nightingale"],
        ["' OR true --"],
        ["#1"],
        ["'); SELECT 1; --"],
        [None],
        [],
        ["x" * 100_000],
        [SECRET] * 200,
    ],
)
def test_no_terms_find_rows_of_others(terms: list[Any], prey: Prey) -> None:
    for address, names in ((prey.stranger, ["elsewhere"]), (prey.snoop, ["victim", "mallory"])):
        own = set[int]().union(*(row_ids(prey, name) for name in names))
        every = [*range(1, max(own) + 10)]
        tenant = prey.who[names[0]][0]
        with psycopg.connect(address) as reader:
            for name in ("text_rows", "title_rows"):
                for machine in (None, 1, prey.who["victim"][1], prey.who["elsewhere"][1]):
                    call = f"SELECT threadkeep.{name}(%s, %s, %s::text[], 1000000)"
                    (found,) = reader.execute(call, [tenant, machine, terms]).fetchone() or (None,)
                    assert {*(found or ())} <= own, (name, found)
            call = "SELECT row_id FROM threadkeep.text_matches(%s, %s::bigint[], %s::text[])"
            matches = {row for (row,) in reader.execute(call, [tenant, every, terms])}
            assert matches <= own
            call = "SELECT row_id FROM threadkeep.text_scores(%s, NULL, %s::text[], %s::int[], 99)"
            weights = [1] * len(terms)
            assert {row for (row,) in reader.execute(call, [tenant, terms, weights])} <= own
            call = "SELECT documents FROM threadkeep.text_counts(%s, NULL, %s::text[], 1000000)"
            assert reader.execute(call, [tenant, terms]).fetchall() == [(len(own),)]
            if terms == ["nightingale"]:
                assert matches == own
