"""The functions that look past row security tell nobody of others, and use the index."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
import pytest

from state.fleet.push.batch import month_of
from state.fleet.server.operations.partitions import create_months
from tests.support.postgres.cluster import Cluster, Fleet, new_fleet

OWN = {
    "text_rows": "SELECT unnest(threadkeep.text_rows(%(tenant)s, NULL, %(terms)s, %(most)s))",
    "title_rows": "SELECT unnest(threadkeep.title_rows(%(tenant)s, NULL, %(terms)s, %(most)s))",
    "text_matches": "SELECT row_id FROM threadkeep.text_matches(%(tenant)s,"
    " (SELECT array_agg(n) FROM generate_series(1, 1000) n), %(terms)s)",
    "text_scores": "SELECT row_id FROM threadkeep.text_scores(%(tenant)s, NULL, %(terms)s,"
    " ARRAY[1, 2], %(most)s)",
    "text_counts": "SELECT documents FROM threadkeep.text_counts(%(tenant)s, NULL, %(terms)s,"
    " %(most)s)",
}
"""How each function is asked."""
THREADS = (
    "INSERT INTO threadkeep.threads (tenant_id, machine_id, id, rollout_path, created_at_ms,"
    " updated_at_ms, recency_at_ms, source, source_kind, model_provider, cwd, cwd_key, title,"
    " preview, fallback_preview, first_user_message, search_text, sandbox_policy, approval_mode,"
    " tokens_used, archived, cli_version, memory_mode, history_mode, size_bytes, mtime_ns, flags,"
    " facet, epoch, revision, level, newest)"
    " SELECT tenant_id, machine_id, gen_random_uuid()::text, '', n, n, n, 'cli', 'cli', 'p', '',"
    " '', '', 'p', '', '', {}, '', '', 0, 0, '', '', 'legacy', 0, 0, 0, '000|cli|p', 1, 1, 'text',"
    " true"
    " FROM threadkeep.machines, {} n"
)
DOCUMENT = (
    "INSERT INTO threadkeep.documents"
    " (month, tenant_id, machine_id, row_id, position, text, messages, digest)"
    " SELECT threadkeep.month_of(created_at_ms), tenant_id, machine_id, row_id, 0,"
    " ' secret of ' || id || ' ', '', '' FROM threadkeep.threads"
)


def filled(fleet: Fleet) -> Fleet:
    for tenant in ("one", "two"):
        fleet.machine("laptop", tenant=tenant)
    with fleet.administered() as admin:
        admin.execute(THREADS.format("'a secret 100%_' || n", "generate_series(1, 10)"))
        admin.execute(DOCUMENT)
    return fleet


@pytest.fixture
def own_tenants(fleet: Fleet) -> Fleet:
    """Two tenants with 10 threads each, all of which say that they are secret."""
    return filled(fleet)


@pytest.fixture(scope="module")
def tenants(cluster: Cluster) -> Iterator[Fleet]:
    """The same, for tests that only read."""
    with new_fleet(cluster) as fleet:
        yield filled(fleet)


@pytest.fixture(scope="module")
def readers(tenants: Fleet) -> dict[str, str]:
    """The readers of the two."""
    return {tenant: tenants.reader(tenant=tenant) for tenant in ("one", "two")}


def found(
    connection: "psycopg.Connection[Any]", tenant: Any, name: str, terms: Any, most: int = 100
) -> set[int]:
    """The rows that a function gives."""
    given = {"tenant": tenant, "terms": terms, "most": most}
    return {row_id for (row_id,) in connection.execute(OWN[name], given).fetchall()}


@contextmanager
def explained(tenants: Fleet) -> "Iterator[tuple[psycopg.Connection[Any], list[str]]]":
    """A connection of a reader, and the plans of all that it runs, with the rows that each gave."""
    role = re.search("user=(\\S+)", tenants.reader(tenant="one"))
    assert role is not None
    plans: list[str] = []
    with psycopg.connect(tenants.admin, autocommit=True) as admin:
        admin.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
        for statement in (
            "LOAD 'auto_explain'",
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_nested_statements = on",
            "SET client_min_messages = log",
            f"SET SESSION AUTHORIZATION {role[1]}",
        ):
            admin.execute(statement)
        yield admin, plans


def test_nobody_finds_what_another_tenant_has(tenants: Fleet, readers: dict[str, str]) -> None:
    with tenants.administered() as admin:
        mine = dict[str, list[int]](
            admin.execute(
                "SELECT t.name, array_agg(row_id) FROM threadkeep.threads"
                " JOIN threadkeep.tenants t USING (tenant_id) GROUP BY 1"
            ).fetchall()
        )
        numbers = dict[str, int](
            admin.execute("SELECT name, tenant_id FROM threadkeep.tenants").fetchall()
        )
    for tenant, other in (("one", "two"), ("two", "one")):
        with psycopg.connect(readers[tenant], autocommit=True) as reader:
            for name in OWN:
                terms = ["secret"] if name == "title_rows" else [" secret of "]
                rows = found(reader, numbers[tenant], name, terms)
                assert rows == ({10} if name == "text_counts" else set(mine[tenant]))
                for wrong in (numbers[other], None, 0, -1):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        found(reader, wrong, name, terms)


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [""],
        [" "],
        ["%"],
        ["%secret%"],
        ["\\"],
        ["a_secret"],
        ["'); DROP TABLE threadkeep.threads; --"],
        ["secret"] * 1_000,
        ["x" * 300_000],
        [None, "secret"],
        ["\x01\uffff\U0010ffff"],
    ],
    ids=range(12),
)
def test_hostile_terms_find_no_more(readers: dict[str, str], terms: Sequence[Any]) -> None:
    with psycopg.connect(readers["one"], autocommit=True) as reader:
        (own,) = reader.execute("SELECT threadkeep.my_tenant()").fetchone() or (None,)
        seen = {row for (row,) in reader.execute("SELECT row_id FROM threadkeep_index.threads")}
        for name in OWN:
            for most in (100, -1, 0, 2**31 - 1):
                rows = found(reader, own, name, [*terms], most)
                assert rows <= ({0, 10} if name == "text_counts" else seen)


def test_only_readers_may_ask(own_tenants: Fleet) -> None:
    machine = own_tenants.machine("other", tenant="one")
    reader = own_tenants.reader(tenant="one")
    with psycopg.connect(own_tenants.admin, autocommit=True) as admin:
        admin.execute(
            "UPDATE threadkeep.logins SET revoked_at = now() WHERE role_name LIKE '%\\_reader'"
        )
    for address in (machine, reader):
        with psycopg.connect(address, autocommit=True) as connection:
            for name in OWN:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    found(connection, 1, name, ["secret"])
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    found(connection, None, name, ["secret"])


def test_what_a_reader_creates_does_not_run_as_somebody_else(readers: dict[str, str]) -> None:
    """Temporary tables and functions with the names of those that the functions use."""
    with psycopg.connect(readers["one"], autocommit=True) as reader:
        for statement in (
            "CREATE TEMPORARY TABLE documents (row_id bigint, text text)",
            "CREATE TEMPORARY TABLE threads (row_id bigint, tenant_id integer)",
            "CREATE FUNCTION pg_temp.show_trgm(text) RETURNS text[] LANGUAGE sql"
            " AS 'SELECT ARRAY[current_user::text]'",
            "CREATE FUNCTION pg_temp.strpos(text, text) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "SET search_path = pg_temp, public",
        ):
            reader.execute(statement)
        (own,) = reader.execute("SELECT threadkeep.my_tenant()").fetchone() or (None,)
        assert len(found(reader, own, "text_rows", [" secret of "])) == 10
        assert found(reader, own, "text_matches", [" absent "]) == set()


def test_the_index_serves_below_row_security(own_tenants: Fleet) -> None:
    """No text is looked into but those of the threads that are named."""
    with own_tenants.administered() as admin:
        admin.execute(
            THREADS.format("'a public matter'", "generate_series(100, 3000)")
            + " WHERE tenant_id = 2"
        )
    with explained(own_tenants) as (reader, plans):
        (own,) = reader.execute("SELECT threadkeep.my_tenant()").fetchone() or (None,)
        for name in OWN:
            assert found(reader, own, name, ["secret"])
    text = [plan for plan in plans if "threadkeep.documents" in plan and "@>" in plan]
    assert len(text) >= 3
    assert all("Bitmap Index Scan on documents" in plan for plan in text)
    looked = [plan for plan in plans if "strpos(b.body" in plan]
    assert len(looked) == 1
    assert re.search(r"Index Scan using documents\S*_pkey\D[^>]*\n *Index Cond:.*row_id", looked[0])
    titles = [plan for plan in plans if "search_text LIKE ALL" in plan]
    assert "Bitmap Index Scan on threads_" in titles[0]
    assert not [plan for plan in (*text, *looked, *titles) if "Seq Scan" in plan]


@pytest.mark.parametrize("terms", [["public", "secret"], ["secret", "public"]])
def test_of_a_common_and_a_rare_word_the_rare_one_is_looked_up(
    own_tenants: Fleet, terms: list[str]
) -> None:
    """Whichever comes first: of the common one no more is read than tells that it is."""
    with own_tenants.administered() as admin:
        admin.execute(
            THREADS.format("'a public matter'", "generate_series(100, 3000)")
            + " WHERE tenant_id = 2"
        )
        said = DOCUMENT.replace("secret of", "public")
        admin.execute(said + " WHERE search_text = 'a public matter'")
        changed = "UPDATE threadkeep.threads SET search_text = 'a public secret' WHERE row_id = 1"
        assert admin.execute(changed + " AND tenant_id = 2").rowcount == 1
    with explained(own_tenants) as (reader, plans):
        (own,) = reader.execute("SELECT threadkeep.my_tenant()").fetchone() or (None,)
        both = [f" {term} " for term in terms]
        assert len(found(reader, own, "text_rows", both, 30_000)) == 10
        assert found(reader, own, "title_rows", terms, 30_000) == {1}
    heap = r"Bitmap Heap Scan on documents.*actual.* rows=(\d+)"
    read = [int(rows) for plan in plans for rows in re.findall(heap, plan)]
    assert max(read) == (501 if terms[0] == "public" else 10)


def test_postgresql_knows_the_month_that_a_push_writes(tenants: Fleet) -> None:
    months = [
        (0, "1970-01-01"),
        (-1, "1969-12-01"),
        (1_796_000_000_000, "2026-11-01"),
        (1_793_491_199_999, "2026-10-01"),
        (1_793_491_200_000, "2026-11-01"),
        (-62_135_596_800_000, "0001-01-01"),
        (253_402_300_799_999, "9999-12-01"),
        (-(2**63), "0001-01-01"),
        (2**63 - 1, "9999-12-01"),
    ]
    with tenants.administered() as admin:
        for at_ms, month in months:
            row = admin.execute("SELECT threadkeep.month_of(%s)::text", [at_ms]).fetchone()
            assert row == (month,)
            assert month_of(at_ms).isoformat() == month


def test_a_title_that_many_have_is_left_to_the_walk(own_tenants: Fleet) -> None:
    with own_tenants.administered() as admin:
        admin.execute(THREADS.format("'a public matter'", "generate_series(100, 400)"))
    with psycopg.connect(own_tenants.reader(tenant="one"), autocommit=True) as reader:
        given = {"tenant": 2, "most": 5_000}
        asked = OWN["title_rows"].replace("unnest", "")
        for term, rows in (("matter", None), ("secret", 10), ("absent", 0)):
            (found,) = reader.execute(asked, {**given, "terms": [term]}).fetchone() or ([],)
            assert found is None if rows is None else len(found) == rows


def test_nobody_analyzes_the_keys_of_documents(fleet: Fleet) -> None:
    """That takes minutes for each partition."""
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        create_months(admin, date(2026, 5, 1))
        targets = admin.execute(
            "SELECT a.attstattarget FROM pg_inherits JOIN pg_attribute a ON attrelid = inhrelid"
            " WHERE inhparent = 'threadkeep.documents_keys'::regclass"
        ).fetchall()
    assert len(targets) > 12
    assert {target for (target,) in targets} == {0}
