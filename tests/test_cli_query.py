"""``query`` and ``db`` as people and scripts use them."""

import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from state.facts import journal_path

from .command import COMMAND, Cli, plain_user, thread_id, write_rollout
from .conftest import FIXTURES
from .test_cli_errors import is_told
from .test_faults_index import damaged_pages, garbage

__all__ = ["plain_user"]

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.fixture(scope="module")
def corpus(corpus_home: Path, corpus_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for the corpus; tests only read."""
    base = tmp_path_factory.mktemp("corpus-user")
    return Cli(corpus_home, base, {"THREADKEEP_DB": str(corpus_index)})


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads, without an index yet."""
    cli = Cli(tmp_path / "home", tmp_path)
    for number in range(3):
        write_rollout(cli.home, number, f"thread number {number}")
    return cli


def test_an_answer_is_a_line_of_names_and_a_line_a_row(corpus: Cli) -> None:
    ran = corpus.run("query", "SELECT model, count(*) AS threads FROM v_threads GROUP BY model")
    assert ran.lines[0] == "model\tthreads"
    assert sum(int(line.split("\t")[1]) for line in ran.lines[1:]) == 194
    assert ran.err == ""


def test_values_in_a_pipe_are_safe_and_on_one_line(corpus: Cli) -> None:
    sql = (
        "SELECT 'a' || char(9, 10, 27) || 'b', NULL, x'00ff', 9223372036854775807, 0.5 AS \"x\ny\""
    )
    ran = corpus.run("query", sql)
    assert ran.lines[0].endswith("\tx y")
    assert ran.lines[1:] == ["a b\t\tx'00ff'\t9223372036854775807\t0.5"]


def test_the_document_of_an_answer(corpus: Cli) -> None:
    sql = "SELECT 9223372036854775807 AS a, NULL AS b, x'00ff' AS c, -1e999 AS d, 'é\n' AS e"
    assert corpus.run("query", sql, "--json").json == {
        "version": 1,
        "columns": ["a", "b", "c", "d", "e"],
        "complete": True,
        "rows": [[9223372036854775807, None, "x'00ff'", "-inf", "é\n"]],
        "error": None,
    }
    many = corpus.run("query", "SELECT id FROM v_threads", "--json")
    assert len(many.json["rows"]) == 194
    assert len(many.lines) == 194 + 2


def test_no_row_has_status_1(corpus: Cli) -> None:
    sql = "SELECT id AS thread FROM v_threads WHERE id = ''"
    assert corpus.run("query", sql, status=1).out == "thread\n"
    assert corpus.run("query", sql, "--json", status=1).json["rows"] == []


def test_a_refused_question_is_told_with_the_next_step(corpus: Cli) -> None:
    before = corpus.index.read_bytes()
    for sql, says in (
        ("DELETE FROM threads", "only reading is allowed here"),
        ("ATTACH 'x' AS y", "only reading is allowed here"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("", "no statement"),
    ):
        is_told(corpus.run("query", sql, status=2), says, "docs/schema.md lists the views")
    error = corpus.run("query", "DROP TABLE threads", "--json", status=2).json["error"]
    assert (error["code"], error["kind"]) == (2, "invalid_sql")
    assert corpus.index.read_bytes() == before


def test_an_error_after_the_first_rows_ends_the_document(corpus: Cli) -> None:
    sql = f"SELECT abs(CASE x WHEN 650 THEN -9223372036854775808 ELSE x END) AS v FROM ({ENDLESS})"
    ran = corpus.run("query", sql, "--json", status=2)
    assert ran.json["error"]["kind"] == "invalid_sql"
    assert ran.json["rows"][:2] == [[1], [2]]
    assert len(ran.json["rows"]) < 650
    ran = corpus.run("query", sql, status=2)
    assert ran.lines[:3] == ["v", "1", "2"]
    assert "integer overflow" in ran.err


def test_the_statement_may_come_from_stdin(corpus: Cli) -> None:
    process = corpus.start(
        "query", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate(b"-- a comment\nSELECT 'e\xcc\x81' AS x;\n", timeout=60)
    assert (process.returncode, out.decode(), err) == (0, "x\ne\u0301\n", b"")


def test_the_first_rows_come_while_the_rest_is_read_and_ctrl_c_ends_it(corpus: Cli) -> None:
    head = corpus.run("-c", f'{COMMAND[0]} query "{ENDLESS}" | head -3', prefix=["sh"])
    assert (head.lines, head.err) == (["x", "1", "2"], "")
    process = corpus.start("query", ENDLESS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"Interrupted.\n")


def test_ctrl_c_ends_a_statement_that_gives_nothing(corpus: Cli) -> None:
    # The progress of stdin tells when the statement is about to run.
    process = corpus.start("query", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(f"SELECT count(*) FROM ({ENDLESS})".encode())
    process.stdin.close()
    process.stdin = None
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"Interrupted.\n")


def test_an_answer_is_true_to_the_files(small: Cli) -> None:
    count = ["query", "SELECT count(*) FROM v_threads"]
    assert small.run(*count).lines[1:] == ["3"]
    write_rollout(small.home, 7)
    assert small.run(*count, "--no-sync").lines[1:] == ["3"]
    assert small.run(*count).lines[1:] == ["4"]


def test_an_index_of_an_older_revision_has_the_views(small: Cli) -> None:
    small.index.parent.mkdir(parents=True)
    shutil.copy(FIXTURES / "indexes" / "v0001.sqlite3", small.index)
    ran = small.run("query", "--no-sync", "SELECT count(*) FROM v_aliases")
    assert ran.lines[1:] == ["0"]


def test_what_cannot_be_written_is_asked_and_checked_all_the_same(
    small: Cli, plain_user: tuple[str, ...]
) -> None:
    small.run("sync")
    write_rollout(small.home, 7)
    small.index.chmod(0o400)
    small.index.parent.chmod(0o500)
    before = {path: path.stat().st_mtime_ns for path in small.index.parent.iterdir()}
    count = ["query", "SELECT count(*) FROM v_threads"]
    try:
        asked = small.run(*count, prefix=plain_user)
        assert asked.lines[1:] == ["4"]
        assert "a copy of it, which is thrown away" in asked.err
        assert small.run(*count, "--no-sync", prefix=plain_user).lines[1:] == ["3"]
        assert small.run("db", "check", "--json", prefix=plain_user).json["clean"] is True
        refused = small.run("db", "vacuum", "--json", status=7, prefix=plain_user).json["error"]
        assert refused["kind"] == "index_not_writable"
        assert {path: path.stat().st_mtime_ns for path in small.index.parent.iterdir()} == before
    finally:
        small.index.parent.chmod(0o700)
        small.index.chmod(0o600)


def test_the_place_is_told_whether_there_is_an_index_or_not(small: Cli) -> None:
    nowhere = {"CODEX_HOME": str(small.base / "nowhere")}
    assert small.run("db", "path").out == f"{small.index}\n"
    assert small.run("db", "path", "--json").json == {"version": 1, "index": str(small.index)}
    assert small.run("db", "path", env=nowhere).err == ""
    assert not small.index.exists()


def test_a_sound_index_is_checked_and_left_as_it_is(small: Cli) -> None:
    small.run("sync")
    before = small.index.read_bytes()
    ran = small.run("db", "check")
    assert (ran.out, ran.err) == ("", "Nothing found.\n")
    document = small.run("db", "check", "--json").json
    assert document == {
        "version": 1,
        "check": "db check",
        "clean": True,
        "counts": {"error": 0, "warning": 0, "note": 0},
        "codes": {},
        "findings": [],
        "findingsCut": 0,
        "index": str(small.index),
    }
    assert small.index.read_bytes() == before


def test_what_is_wrong_with_an_index_is_named_with_what_mends_it(small: Cli) -> None:
    small.run("sync")
    with closing(sqlite3.connect(small.index)) as connection:
        connection.execute("DROP TRIGGER history_mode_is_immutable")
    ran = small.run("db", "check", status=1)
    assert ran.lines[0].split() == ["error", "schema_differs"]
    assert ran.lines[-1].strip() == "mend: threadkeep repair"
    assert ran.err == "1 error: 1 schema_differs.\n"
    found = small.run("db", "check", "--json", status=1).json
    assert found["codes"] == {"schema_differs": 1}
    small.run("repair", "--apply")
    assert small.run("db", "check", "--json").json["clean"] is True


def test_damage_is_a_finding_and_what_is_no_index_an_error(small: Cli) -> None:
    is_told(small.run("db", "check", status=3), "there is no index at", "threadkeep backfill")
    is_told(small.run("db", "vacuum", status=3), "there is no index at", "threadkeep backfill")
    assert not small.index.exists()
    for number in range(3, 90):
        write_rollout(small.home, number, "x" * 2000)
    small.run("sync")
    damaged_pages(small.index)
    found = small.run("db", "check", "--json", status=1).json
    assert set(found["codes"]) == {"index_damaged"}
    garbage(small.index)
    wreck = small.index.read_bytes()
    (finding,) = small.run("db", "check", "--json", status=1).json["findings"]
    assert finding["code"] == "index_damaged"
    assert finding["measured"] == "file is not a database"
    is_told(small.run("db", "vacuum", status=7), "file is not a database", "threadkeep reindex")
    assert small.index.read_bytes() == wreck
    theirs = small.base / "theirs.sqlite3"
    with closing(sqlite3.connect(theirs)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    refused = small.run("--db", str(theirs), "db", "check", "--json", status=7).json["error"]
    assert refused["kind"] == "not_an_index"


def test_vacuum_tells_the_bytes_before_and_after(small: Cli) -> None:
    small.run("relink", "/a", "/b")
    with closing(sqlite3.connect(small.index)) as connection:
        connection.execute("CREATE TABLE much AS SELECT zeroblob(500000) AS x")
        connection.execute("DROP TABLE much")
        connection.commit()
    told = small.run("db", "vacuum", "--json").json
    assert list(told) == ["version", "index", "bytesBefore", "bytesAfter"]
    assert told["bytesBefore"] > told["bytesAfter"] + 450_000
    assert told["bytesAfter"] == small.index.stat().st_size
    assert "bytes and has" in small.run("db", "vacuum").err
    assert len(small.ids()) == 3
    assert small.ids("--search", "number 1") == [thread_id(1)]
    assert small.run("verify", "--deep", "--json").json["findings"] == []
    assert journal_path(small.index).exists()
