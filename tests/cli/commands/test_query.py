"""``query`` and ``db`` as a person and a script use them."""

import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands.test_user_settings import not_writable
from tests.cli.test_errors import is_reported
from tests.support.checks import synced
from tests.support.command import COMMAND, Cli, Inside, Within, plain_user, thread_id, write_rollout
from tests.support.damage import garbage, sql
from tests.support.effort import PATIENCE_S

__all__ = ["plain_user"]

COUNT = "SELECT count(*) AS threads FROM v_threads"
ENDLESS = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads, indexed."""
    cli = Inside(tmp_path / "home", tmp_path)
    for number in range(3):
        write_rollout(cli.home, number)
    synced(cli.home, cli.index)
    return cli


def test_an_answer_into_a_pipe_is_lines_with_tabs(corpus: Cli) -> None:
    sql = (
        "SELECT 'a' || char(9, 10, 27) || 'b' AS 'one\ntwo', NULL AS n, x'00ff' AS bytes,"
        " 9223372036854775807 AS big, 1.5 AS real, 9e999 AS inf"
    )
    ran = corpus.run("query", "--no-sync", sql)
    assert ran.lines == [
        "one two\tn\tbytes\tbig\treal\tinf",
        "a b\t\tx'00ff'\t9223372036854775807\t1.5\tinf",
    ]
    assert ran.err == ""


def test_the_json_of_an_answer_is_one_document(corpus: Cli) -> None:
    sql = "SELECT value, NULL, x'00ff', 9223372036854775807, 1.5, -9e999 FROM json_each('[1, 2]')"
    ran = corpus.run("query", sql, "--json")
    assert ran.json == {
        "version": 1,
        "columns": ["value", "NULL", "x'00ff'", "9223372036854775807", "1.5", "-9e999"],
        "complete": True,
        "rows": [[n, None, "x'00ff'", 2**63 - 1, 1.5, "-inf"] for n in (1, 2)],
        "error": None,
    }
    assert len(ran.lines) == 4  # a row a line, for those who do not want to read it all at once
    assert (
        corpus.run("query", f"{COUNT} WHERE 0 GROUP BY id", "--json", status=1).json["rows"] == []
    )


def test_many_rows_come_all_and_in_order(corpus: Cli) -> None:
    wanted = [str(number) for number in range(1, 2002)]
    assert corpus.run("query", "--no-sync", f"{ENDLESS} LIMIT 2001").lines == ["x", *wanted]
    rows = corpus.run("query", "--no-sync", f"{ENDLESS} LIMIT 2001", "--json").json["rows"]
    assert [str(row[0]) for row in rows] == wanted


@pytest.mark.full
def test_large_values_do_not_add_up_in_memory(corpus: Cli) -> None:
    limited = "ulimit -v 1000000; exec"
    ran = corpus.run(
        *("-c", f'{limited} "$0" query --no-sync "$1" | cut -c 1-3 | uniq -c'),
        *(COMMAND[0], f"SELECT zeroblob(9000000) FROM ({ENDLESS} LIMIT 40)"),
        prefix=["bash"],
    )
    assert [line.split() for line in ran.lines] == [["1", "zer"], ["40", "x'0"]]


def test_the_statement_may_come_from_stdin(corpus: Cli) -> None:
    with corpus.start("query", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(f"-- with a comment\n{COUNT};\n".encode(), timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, b"threads\n194\n")


@pytest.mark.parametrize(
    ("sql", "says", "hint"),
    [
        ("SELECT nope\x1b[31m\nFROM v_threads", "unrecognized token", "help schema describes"),
        (
            'SELECT [a\n\x1b b] FROM "v_threads"',
            "no such column: a b",
            "SELECT * FROM v_threads LIMIT 1",
        ),
        (
            "DELETE FROM threads",
            "only reading is allowed here",
            "threadkeep help lists the commands",
        ),
        ("SELECT 1; SELECT 2", "one statement at a time", "one statement each time"),
        ("-- " + "x" * 1_000_000, "longer than 1,000,000 characters", "shorten it"),
    ],
)
def test_a_statement_that_is_refused_has_status_2(
    sql: str, says: str, hint: str, corpus: Cli
) -> None:
    if len(sql) > 100_000:  # more than an argument may have
        stdin = corpus.base / "long.sql"
        stdin.write_text(sql)
        ran = corpus.run("-c", f'"$0" query - < {stdin}', COMMAND[0], prefix=["bash"], status=2)
    else:
        ran = corpus.run("query", sql, status=2)
    is_reported(ran, says, hint)
    assert "\x1b" not in ran.err


def test_what_fails_on_the_way_is_told_at_the_end_of_the_document(corpus: Cli) -> None:
    sql = (
        "SELECT abs(CASE x WHEN 1200 THEN -9223372036854775807 - 1 ELSE x END)"
        f" FROM ({ENDLESS} LIMIT 2000)"
    )
    printed = corpus.run("query", sql, "--json", status=2).json
    assert len(printed["rows"]) == 1000
    assert printed["error"]["kind"] == "invalid_sql"
    ran = corpus.run("query", sql, status=2)
    assert len(ran.lines) == 1001
    assert ran.err.startswith("threadkeep: the query failed: integer overflow")


def test_a_reader_that_has_enough_ends_an_endless_answer(corpus: Cli) -> None:
    ran = corpus.run("-c", '"$0" query "$1" | head -3', COMMAND[0], ENDLESS, prefix=["bash"])
    assert (ran.lines, ran.err) == (["x", "1", "2"], "")


def test_an_interrupt_ends_a_statement_in_its_middle(corpus: Cli) -> None:
    stalls = f"SELECT x FROM ({ENDLESS}) WHERE x <= 600"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with corpus.start("query", "--no-sync", stalls, **pipes) as process:
        try:
            assert process.stdout
            for _ in range(501):
                assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()  # else a failure would last for ever
    assert (process.returncode, out, err) == (130, b"", b"Interrupted.\n")


def test_an_answer_is_of_the_files_as_they_are(small: Cli) -> None:
    write_rollout(small.home, 9)
    assert small.run("query", "--no-sync", COUNT).lines == ["threads", "3"]
    assert small.run("query", COUNT).lines == ["threads", "4"]
    small.index.unlink()
    assert small.run("query", COUNT).lines == ["threads", "4"]


def test_an_answer_is_given_where_the_index_cannot_be_written(
    small: Cli, plain_user: Within
) -> None:
    write_rollout(small.home, 9)
    with not_writable(small.index):
        for options, count in (([], "4"), (["--no-sync"], "3")):
            ran = small.run("query", *options, COUNT, prefix=plain_user)
            assert ran.lines == ["threads", count]
            assert "Answering from a temporary copy" in ran.err
        assert small.run("db", "check", prefix=plain_user).err == "No problems found.\n"
        refused = small.run("db", "vacuum", "--json", status=7, prefix=plain_user).json["error"]
        assert refused["kind"] == "index_not_writable"


def test_damage_that_only_a_statement_meets_is_mended(small: Cli) -> None:
    with closing(sqlite3.connect(small.index)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'thread_spawn_edges'"
        ).fetchone()
    content = bytearray(small.index.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    small.index.write_bytes(content)
    assert small.run("query", COUNT).lines == ["threads", "3"]
    ran = small.run("query", "SELECT status FROM v_edges", status=1)
    assert ran.lines == ["status"]
    assert "It was moved to" in ran.err
    assert small.run("db", "check").err == "No problems found.\n"


def test_the_path_of_the_index_is_told_and_nothing_else(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    ran = cli.run("db", "path")
    assert (ran.lines, ran.err) == ([str(cli.index)], "")
    printed = cli.run("--db", "x.sqlite3", "db", "path", "--json").json
    assert printed == {"version": 1, "index": str(tmp_path / "x.sqlite3")}
    assert not cli.index.parent.exists()


def test_checking_an_index_changes_nothing_and_names_what_is_wrong(small: Cli) -> None:
    sound = small.run("db", "check", "--json").json
    assert (sound["clean"], sound["findings"]) == (True, [])
    assert (sound["check"], sound["index"]) == ("db check", str(small.index))
    sql("UPDATE threads SET search_text = 'x'", "DROP INDEX ix_threads_name")(small.index)
    before = small.index.read_bytes()
    printed = small.run("db", "check", "--json", status=1).json
    assert printed["codes"] == {"schema_differs": 1, "title_index_differs": 1}
    ran = small.run("db", "check", status=1)
    assert "mend: threadkeep repair" in ran.out
    assert "2 errors" in ran.err
    assert small.index.read_bytes() == before


def test_checking_makes_no_index_and_moves_none(small: Cli) -> None:
    nowhere = str(small.base / "nowhere" / "i.sqlite3")
    for command in ("check", "vacuum"):
        ran = small.run("--db", nowhere, "db", command, status=3)
        is_reported(ran, f"there is no index at {nowhere}", "threadkeep backfill")
    assert not (small.base / "nowhere").exists()
    (small.base / "empty").touch()
    small.run("--db", "empty", "db", "check", status=3)
    assert (small.base / "empty").stat().st_size == 0
    garbage(small.index)
    before = small.index.read_bytes()
    for command in ("check", "vacuum"):
        refused = small.run("db", command, "--json", status=7).json["error"]
        assert refused["kind"] == "index_damaged"
    assert small.index.read_bytes() == before
    is_reported(small.run("--db", ".", "db", "check", status=7), "Is a directory", "--db")


def test_vacuum_prints_what_it_saved_and_keeps_everything(small: Cli) -> None:
    sql("CREATE TABLE big AS SELECT randomblob(1010000) AS data", "DROP TABLE big")(small.index)
    printed = small.run("db", "vacuum", "--json").json
    assert printed["bytesAfter"] <= printed["bytesBefore"] - 1_000_000
    assert printed["bytesAfter"] == small.index.stat().st_size
    size = f"{printed['bytesAfter']:,}"
    ran = small.run("db", "vacuum")
    assert (ran.out, ran.err) == ("", f"The index had {size} bytes and now has {size}.\n")
    assert small.ids() == [thread_id(number) for number in (2, 1, 0)]
    assert json.loads(small.run("db", "check", "--json").out)["clean"]
