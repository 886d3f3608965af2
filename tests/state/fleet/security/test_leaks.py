"""Nothing is told of the rows of others by what is not a row: plans, messages, statistics."""

import re
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.state.fleet.security.attack import (
    IDS,
    SECRET,
    Prey,
    insert,
    push_thread,
    refused,
    relations,
    run,
    views,
)

FOLDER = "/home/alice/nightingale"
CHOSEN = (
    *("facet", "source_kind", "model", "model_provider", "provider", "effort", "service_tier"),
    *("key", "level"),
)
"""Columns of which plans tell how frequent values are."""


@pytest.fixture(scope="module", autouse=True)
def _analyzed(shared_prey: Prey) -> None:
    """The planner knows the values of all tenants, and some are frequent."""
    with psycopg.connect(shared_prey.victim) as machine:
        for number in range(40):
            id_ = str(UUID(int=number))
            texts = {"title": SECRET, "cwd": FOLDER, "cwd_key": FOLDER, "git_branch": SECRET}
            push_thread(machine, id=id_, **texts)
            note = {"thread_id": id_, "key": "note", "value": SECRET}
            insert(machine, "user_data", shared_prey.who["victim"], **note)
            document = {"month": "2026-11-01", "row_id": number, "position": 0, "text": SECRET}
            document |= {"messages": SECRET.encode(), "digest": SECRET}
            insert(machine, "documents", shared_prey.who["victim"], **document)
    run(shared_prey.fleet.admin, "ANALYZE")


def told_by(address: str, queries: list[str]) -> list[str]:
    """What a function says that comes first in conditions, as it claims to cost nothing."""
    said: list[str] = []
    with psycopg.connect(address) as connection:
        connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        connection.execute(
            "CREATE FUNCTION pg_temp.leak(anyelement) RETURNS bool LANGUAGE plpgsql COST 0.0000001"
            " AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
        )
        connection.execute("SELECT set_config('threadkeep.machine_id', '1', false)")
        for query in queries:
            connection.execute(query)
    return said


def test_a_function_that_is_cheap_sees_no_row_of_others(prey: Prey) -> None:
    queries = [f"SELECT 1 FROM {view} v WHERE pg_temp.leak(v::text)" for view in views(prey.fleet)]
    for address, is_in in ((prey.stranger, True), (prey.revoked, False)):
        said = told_by(address, queries)
        assert any(SECRET in each for each in said) == is_in
        assert not [each for each in said if FOLDER in each or IDS["victim"] in each]
    tables = [
        f"SELECT 1 FROM {table} t WHERE pg_temp.leak(t.machine_id)"
        for table in relations(prey.fleet, "p")
    ]
    assert {*told_by(prey.mallory, tables)} == {str(prey.who["mallory"][1])}


def rows_expected(reader: "psycopg.Connection[Any]", query: str) -> float:
    """How many rows the planner says that it expects."""
    (plan,) = reader.execute(f"EXPLAIN {query}").fetchone() or ("",)
    return float(re.findall(r"rows=(\d+)", plan)[0])


def texts(schema: str) -> str:
    """The query for all columns of a schema with texts, but of those that lists choose by."""
    return (
        "SELECT relname, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE"
        f" relnamespace = '{schema}'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p', 'v')"
        " AND atttypid IN ('text'::regtype, 'text[]'::regtype, 'varchar'::regtype,"
        f" 'bytea'::regtype) AND NOT attname = ANY ('{{{', '.join(CHOSEN)}}}')"
    )


def test_plans_do_not_tell_which_texts_others_have(prey: Prey) -> None:
    columns = run(prey.fleet.admin, texts("threadkeep_index"))
    assert {("threads", "cwd"), ("documents", "messages")} < {*columns}
    for address in prey.readers:
        with psycopg.connect(address) as reader:
            for view, column in columns:
                query = f"SELECT 1 FROM threadkeep_index.{view} WHERE {column} ="
                expected = {
                    rows_expected(reader, f"{query} '{text}'") for text in (SECRET, FOLDER, "none")
                }
                assert len(expected) == 1, (view, column)


def test_nothing_is_known_of_texts_but_those_that_lists_choose_by(prey: Prey) -> None:
    """Also of tables that a machine may ask for plans of, and of each partition."""
    of_texts = f"(tablename, attname) IN ({texts('threadkeep')})"
    known = (
        f"SELECT tablename, attname FROM pg_stats WHERE schemaname = 'threadkeep' AND {of_texts}"
    )
    assert run(prey.fleet.admin, known) == [("fleet_version", "version_num")]
    counted = (
        "SELECT attname FROM pg_stats WHERE tablename ~ '^documents_' AND attname = 'position'"
    )
    assert run(prey.fleet.admin, counted) != []  # else nothing was there to be known


def test_what_was_filtered_away_is_not_counted_by_what_is_in_it(prey: Prey) -> None:
    with psycopg.connect(prey.stranger) as reader:
        for column in ("title", "cwd", "git_branch", "name"):
            told = set()
            for text in (SECRET, FOLDER, "none"):
                plan = reader.execute(
                    "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT 1"
                    f" FROM threadkeep_index.threads WHERE {column} = '{text}' AND id > 'a'"
                )
                told.add("\n".join(line.replace(text, "") for (line,) in plan))
            assert len(told) == 1, column


def test_statistics_show_nothing_of_ours(prey: Prey) -> None:
    for address in (prey.mallory, *prey.readers):
        query = (
            "SELECT tablename, attname FROM pg_stats WHERE starts_with(schemaname, 'threadkeep')"
        )
        assert run(address, f"{query} AND tablename <> 'fleet_version'") == []


def test_messages_about_a_key_name_no_value(prey: Prey) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as connection:
        wrong = ({"title": None}, {"id": IDS["victim"], "title": None}, {"facet": "x"})
        for values in wrong:
            with pytest.raises(psycopg.IntegrityError) as caught:
                push_thread(connection, revision=9, **{"id": IDS["mallory"], **values})
            assert caught.value.diag.message_detail is None, caught.value.diag.message_detail


def test_a_cast_that_fails_tells_only_of_ones_own_rows(prey: Prey) -> None:
    for column in ("title", "cwd"):
        query = f"SELECT 1 FROM threadkeep_index.threads WHERE {column}::integer = 1"
        said = refused(prey.stranger, query, states=("22P02",))
        assert FOLDER not in said
    query = "SELECT 1 FROM threadkeep_index.threads WHERE 1 / (length(cwd) - 23) = 1"
    assert run(prey.stranger, query) == []  # only the victim's folder has that length


def test_nobody_hears_of_what_others_do(prey: Prey) -> None:
    with psycopg.connect(prey.stranger, autocommit=True) as listener:
        for channel in ("threadkeep", "fleet", "threads", "push"):
            listener.execute(f"LISTEN {channel}")
        run(prey.victim, "UPDATE threadkeep.machines SET pending = 0")
        assert [*listener.notifies(timeout=0)] == []
