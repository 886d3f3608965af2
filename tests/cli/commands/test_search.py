"""``threadkeep search``: what it prints, and how it ends."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cli import errors
from rollout.search.terms import Term
from state.db.steps import run_steps
from state.fulltext.candidates import candidate_steps
from state.fulltext.search import MOST_TERMS
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.samples.rollouts import CORPUS
from tests.support.command import Cli, Inside, Within, plain_user
from tests.support.indexes import empty_index
from tests.support.terminal import on_terminal

__all__ = ["plain_user"]

STAMP = "2026-05-28T20:00:00.000Z"
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "tool said Übersee"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    home = tmp_path / "home"
    talk = [
        event(STAMP, "agent_message", message=f"Answer {n}: the café is\nclosed") for n in range(4)
    ]
    tool = {"timestamp": STAMP, "type": "response_item", "payload": OUTPUT}
    write(home, 1, encoded([*lines(1, "where is the Café"), *talk, tool]))
    write(home, 2, encoded(lines(2, "nothing of that")))
    write(home, 3, encoded(lines(3, "cafeteria")), archived=True)
    write(home, 4, encoded(lines(4, "a cafe", source="exec")))
    cli = Inside(home, tmp_path)
    empty_index(cli.index)
    return cli


def harm(index: Path, *statements: str) -> None:
    """Change an index behind the program's back."""
    with closing(sqlite3.connect(index)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def found(cli: Cli, *arguments: str, status: int = 0) -> list[str]:
    ran = cli.run("search", "--json", *arguments, status=status)
    assert ran.json["complete"] is True
    return [hit["thread"]["id"] for hit in ran.json["data"]]


def test_terms_and_filters_choose(cli: Cli) -> None:
    assert found(cli, "cafe") == [thread_id(1)]
    assert found(cli, "CAFÉ", "--all-sources") == [thread_id(4), thread_id(1)]
    assert found(cli, "cafe", "--source", "exec") == [thread_id(4)]
    assert found(cli, "cafe*", "--archived") == [thread_id(3)]
    assert found(cli, "cafe", "--archived", status=1) == []
    assert found(cli, "afe", status=1) == []
    assert found(cli, "afe is clo", "--literal") == [thread_id(1)]
    assert found(cli, '"café is closed"') == [thread_id(1)]
    assert found(cli, "where", "closed") == [thread_id(1)]
    assert found(cli, "cafe", "--all-sources", "--sort", "matches") == [thread_id(1), thread_id(4)]
    assert found(cli, "cafe", "--all-sources", "--asc", "--limit", "1") == [thread_id(1)]
    assert found(cli, "cafe", "--all-sources", "--cwd", "/work/p1", "--exclude", thread_id(4)) == [
        thread_id(1)
    ]


def test_json_names_turns_items_and_ranges(cli: Cli) -> None:
    document = cli.run("search", "--json", "cafe").json
    (thread,) = document["data"]
    assert thread["matches"] == 5
    assert [hit["kind"] for hit in thread["hits"]] == ["userMessage", *["agentMessage"] * 4]
    assert [hit["itemId"] for hit in thread["hits"]] == [f"item-{n}" for n in range(1, 6)]
    for hit in thread["hits"]:
        assert [hit["snippet"][r["start"] : r["end"]].lower() for r in hit["ranges"]] == ["café"]
    assert thread["hits"][1]["snippet"] == "Answer 0: the café is closed"


def test_lines_for_pipes_have_six_columns(cli: Cli) -> None:
    ran = cli.run("search", "cafe")
    assert len(ran.lines) == 5
    first = ran.lines[0].split("\t")
    assert first[0] == thread_id(1)
    assert first[2:] == ["userMessage", "rollout-2", "item-1", "where is the Café"]


def test_nothing_found_is_told_by_the_status(cli: Cli) -> None:
    ran = cli.run("search", "nobodysaidthat", status=1)
    assert ran.out == ""
    assert "No threads match." in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ['""'],
        ["x", "--sort", "size"],
        ["x", "--cursor", "nonsense"],
        ["x", "--raw", "--sort", "matches"],
        ["--file", "x", "--cursor", "x"],
        ["--file", "x", "term"],
        ["--file", " "],
        ["--file", "x", "--raw"],
        ["--file", "x", "--literal"],
    ],
)
def test_what_has_no_meaning_is_refused(cli: Cli, arguments: list[str]) -> None:
    assert cli.run("search", *arguments, status=2).out == ""


def test_many_terms_find_what_has_all_of_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = [f"word{number}" for number in range(MOST_TERMS)]
    for number in range(40):
        write(home, number, encoded(lines(number, f"prompt {number}")))
    write(home, 40, encoded(lines(40, " ".join(words))))
    cli = Inside(home, tmp_path)
    assert found(cli, *words) == [thread_id(40)]
    assert found(cli, *words[1:], "nobodysaidthat", status=1) == []
    for more in (words, [f"other{number}" for number in range(5000)]):
        ran = cli.run("search", *more, "more", status=2)
        assert f"at most {MOST_TERMS} terms" in ran.err
    assert found(cli, "--literal", *words, *words, status=1) == []


def test_the_share_of_rare_terms_may_be_next_to_nothing() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE fulltext_documents (document_id INTEGER PRIMARY KEY, row_id)"
        )
        connection.execute(
            "CREATE VIRTUAL TABLE fulltext_trigrams USING fts5(letters, content='', columnsize=0,"
            " tokenize='trigram case_sensitive 1', detail='none')"
        )
        connection.execute("INSERT INTO fulltext_documents VALUES (1000000, 7)")
        connection.execute(
            "INSERT INTO fulltext_trigrams (rowid, letters) VALUES (1000000, ' abc ')"
        )
        term = Term(("abc",), begins=False, ends=False)
        assert run_steps(candidate_steps([term] * MOST_TERMS, 26), connection).rows == [7]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("DELETE FROM fulltext_documents", "search_index_differs"),
        ("UPDATE fulltext_documents SET locations = x'ff'", "search_index_differs"),
        ("UPDATE fulltext_documents SET item_keys = x'00'", "search_index_differs"),
        ("UPDATE fulltext_threads SET files = '['", "search_index_differs"),
        ("UPDATE fulltext_trigrams_data SET block = x'ff'", "search_index_differs"),
        ("DELETE FROM fulltext_trigrams_data", "index_damaged"),
        ("DROP TABLE fulltext_trigrams_idx", "index_damaged"),
        ("UPDATE fulltext_documents SET locations = 'longtext'", "index_damaged"),
    ],
)
def test_a_damaged_search_is_found_and_mended(cli: Cli, damage: str, code: str) -> None:
    assert found(cli, "cafe") == [thread_id(1)]
    harm(cli.index, damage)
    findings = cli.run("verify", "--json", status=1).json["findings"]
    assert {(finding["code"], finding["mend"]) for finding in findings} == {
        (code, "threadkeep repair")
    }
    cli.run("repair", "--apply")
    assert "No problems found." in cli.run("verify").err
    assert found(cli, "cafe") == [thread_id(1)]


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        # An index that SQLite's own check finds damaged is built anew at once.
        ("DELETE FROM fulltext_trigrams_data", 0),
        ("DROP TABLE fulltext_trigrams_idx", 0),
        ("UPDATE fulltext_documents SET locations = 'longtext'", 0),
        ("UPDATE fulltext_documents SET locations = x'ff'", errors.DAMAGED),
        ("UPDATE fulltext_documents SET locations = x'ffffffffffffffff'", errors.DAMAGED),
        ("UPDATE fulltext_threads SET files = '['", errors.DAMAGED),
    ],
)
def test_a_damaged_search_is_told(cli: Cli, damage: str, status: int) -> None:
    assert found(cli, "cafe") == [thread_id(1)]
    harm(cli.index, damage)
    ran = cli.run("search", "cafe", status=status)
    assert "is damaged" in ran.err
    assert ("was moved to" if status == 0 else "threadkeep reindex") in ran.err
    cli.run("reindex")
    assert found(cli, "cafe") == [thread_id(1)]


@pytest.mark.parametrize("row", [1, 2])
def test_what_grows_is_read_afresh_where_its_rows_are_damaged(cli: Cli, row: int) -> None:
    assert found(cli, "cafe") == [thread_id(1)]
    harm(
        cli.index,
        "UPDATE fulltext_documents SET item_keys = x'00'",
        "UPDATE fulltext_threads SET files = '['",
    )
    for path in cli.home.rglob(f"*{thread_id(row)}.jsonl"):
        with path.open("ab") as file:
            file.write(encoded([event(STAMP, "agent_message", message="Grown since")]))
    cli.run("backfill")
    assert found(cli, "grown") == [thread_id(row)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--sort", "created_at"),
        ("list",),
        ("search", "caf*"),
        ("list", "--json"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("column", ["created_at_ms", "model"])
def test_a_value_of_the_wrong_type_is_damage(
    cli: Cli, arguments: tuple[str, ...], column: str
) -> None:
    before = cli.run(*arguments).out
    harm(cli.index, f"UPDATE threads SET {column} = x'00' WHERE id = '{thread_id(1)}'")
    ran = cli.run(*arguments)
    assert ran.out == before
    assert "was moved to" in ran.err


SOME_HIDDEN = {"archived": 1, "source": 1, "empty": 0, "attached": 0, "unreadable": 1}


def test_what_cannot_be_read_is_told(cli: Cli, plain_user: Within) -> None:
    files = {number: next(cli.home.rglob(f"*{thread_id(number)}.jsonl")) for number in (1, 2)}
    files[2].chmod(0)
    cli.run("list", prefix=plain_user)
    printed = " 1 unreadable (threadkeep status)."
    for options, complete in (((), True), (("--raw",), False)):
        ran = cli.run("search", "nothing", *options, status=1, prefix=plain_user)
        assert printed in ran.err
        ran = cli.run("search", "cafe", *options, "--json", prefix=plain_user)
        assert (ran.json["hidden"], ran.json["complete"]) == (
            SOME_HIDDEN,
            complete,
        )
        assert len(ran.json["data"]) == 1
    assert "Not counted: 1 unreadable file" in cli.run("stats", "--turns", prefix=plain_user).err
    counted = cli.run("stats", "--turns", "--json", prefix=plain_user).json
    assert (counted["unreadable"], counted["complete"]) == (1, False)
    files[1].chmod(0)
    for options in ((), ("--raw",)):
        ran = cli.run("search", "cafe", *options, "--json", status=1, prefix=plain_user)
        assert ran.json["complete"] is False
        assert "1 thread may match too, but cannot be read" in ran.err
    ran = cli.run("stats", "--turns", "--json", status=errors.SOME_UNREADABLE, prefix=plain_user)
    assert [problem["path"] for problem in ran.json["problems"]] == [
        str(files[1].relative_to(cli.home))
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--sort", "bogus"), "use one of created_at, updated_at, recency_at, matches"),
        (("--source", "nobody"), "unknown source kind 'nobody'"),
        (("--parent", "zz"), "invalid thread id: zz"),
    ],
)
def test_a_refused_search_points_to_its_own_help(
    cli: Cli, options: tuple[str, ...], says: str
) -> None:
    ran = cli.run("search", "x", *options, status=2)
    assert says in ran.err
    assert "threadkeep search -h shows what it takes" in ran.err
    printed = cli.run("search", "x", *options, "--json", status=2).json["error"]
    assert printed["hint"] == "threadkeep search -h shows what it takes"


def test_what_is_seen_is_found(cli: Cli) -> None:
    write(cli.home, 5, encoded(lines(5, "\x1b[31mRED\x1b[1mWORD\x1b[0m and soft\u00adhyphen")))
    for term in ("redword", "softhyphen", "RED\u200bWORD"):
        assert found(cli, term) == [thread_id(5)]
        assert found(cli, "--literal", term) == [thread_id(5)]
    assert found(cli, "31mred", "--literal", status=1) == []
    (thread,) = cli.run("search", "redword", "--json").json["data"]
    (hit,) = thread["hits"]
    assert [hit["snippet"][r["start"] : r["end"]] for r in hit["ranges"]] == ["REDWORD"]


def test_documents_of_an_earlier_version_are_made_afresh(cli: Cli) -> None:
    assert found(cli, "cafe") == [thread_id(1)]
    harm(
        cli.index,
        "UPDATE fulltext_threads SET version = version - 2",
        "INSERT INTO fulltext_trigrams (fulltext_trigrams) VALUES ('delete-all')",
    )
    assert found(cli, "cafe") == [thread_id(1)]
    assert "No problems found." in cli.run("verify").err


def test_a_cursor_goes_on(cli: Cli) -> None:
    asked = ("search", "--json", "cafe", "--all-sources", "--limit", "1")
    first = cli.run(*asked).json
    second = cli.run(*asked, "--cursor", first["nextCursor"]).json
    ids = [page["data"][0]["thread"]["id"] for page in (first, second)]
    assert ids == [thread_id(4), thread_id(1)]
    assert second["nextCursor"] is None


def test_raw_reads_what_tools_said(cli: Cli) -> None:
    assert found(cli, "übersee", status=1) == []
    ran = cli.run("search", "ubersee", "--raw", "--json")
    (thread,) = ran.json["data"]
    assert thread["hits"][0]["kind"] == "response_item/function_call_output"
    assert thread["hits"][0]["snippet"] == "tool said Übersee"
    assert "--raw" in ran.err
    assert found(cli, "nobodysaidthat", "--raw", status=1) == []


def test_the_threads_that_changed_a_file_are_found(tmp_path: Path) -> None:
    cli = Inside(CORPUS, tmp_path)
    ran = cli.run("search", "--file", "Notes_", "--limit", "4", "--json")
    assert [
        (hit["kind"], hit["snippet"]) for thread in ran.json["data"] for hit in thread["hits"]
    ] == [
        *(
            ("fileAdded", f"/home/dev/projects/gamma/notes_{number}.txt")
            for number in (1424, 735, 73)
        ),
        ("fileAdded", "notes_148.txt"),
    ]
    assert ran.json["complete"]
    following = cli.run("search", "--file=notes_", "--cursor", ran.json["nextCursor"], "--json")
    assert [thread["hits"][0]["snippet"] for thread in following.json["data"]] == ["notes_122.txt"]
    assert following.json["nextCursor"] is None
    assert found(cli, "--file=notes_73.txt") == ["019cc5c2-0629-7a10-854b-e61b47447a65"]
    assert found(cli, "--file", "nobodychangedthat", status=1) == []


def test_changes_that_are_not_indexed_yet_are_told_of(tmp_path: Path) -> None:
    cli = Inside(CORPUS, tmp_path)
    cli.run("search", "--file", "notes_")
    older = "UPDATE fulltext_threads SET version = 7 WHERE version = 8"
    harm(cli.index, "DELETE FROM file_changes", "DELETE FROM changed_files", older)
    ran = cli.run("search", "--file", "notes_", "--no-sync", status=1)
    assert "threads behind: some matches may be missing" in ran.err
    assert len(found(cli, "--file", "notes_")) == 5


def test_what_can_be_searched_for_is_told(cli: Cli) -> None:
    for words in (['""'], ["!!!"], ["!!!", "--raw"], [" ", "--literal"]):
        ran = cli.run("search", *words, status=2)
        assert "nothing to search for" in ran.err
        assert "word*" in ran.err
        assert "--literal" in ran.err
    refused = cli.run("search", "?", "--json", status=2).json["error"]
    assert refused["kind"] == "nothing_to_find"
    write(cli.home, 5, encoded(lines(5, "well, \x1b[31m!!!\x1b[0m")))
    assert found(cli, "--literal", "!!!") == [thread_id(5)]
    assert "[31m" not in cli.run("search", "--literal", "!!!").out


def test_a_terminal_gets_marked_matches_that_fit_it(cli: Cli) -> None:
    write(cli.home, 5, encoded(lines(5, f"{'long ' * 20}café {'prompt ' * 20}")))
    cli.run("search", "cafe")
    shown = on_terminal(cli, "search", "cafe", columns=50, lines=11, words=True)
    assert "\x1b[1;33mcafé\x1b[0m" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert plain[1] == "    you  …long long café prompt prompt prompt…"
    assert plain[2:4] == ["", plain[3]]
    assert plain[3].startswith("where is the Café")
    assert plain[4:6] == ["    you  where is the Café", "         and 4 more"]
    assert plain[6:8] == ["", "6 matches in 2 threads."]
    assert plain[8].startswith("Not shown: 1 not interactive")
    assert all(len(line) <= 50 for line in plain)
    shown = on_terminal(cli, "search", "cafe", columns=50, lines=6, words=True)
    assert "1 match in the first thread. Use --limit N to see" in shown
    shown = on_terminal(cli, "search", "cafe", "--limit", "9", lines=6, words=True)
    assert "agent  Answer 1: the" in re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_another_worker_is_told_of(cli: Cli) -> None:
    cli.run("search", "cafe")
    write(cli.home, 9)
    owner = json.dumps({"id": "x", "host": "elsewhere", "pid": 1, "started": ""})
    with closing(sqlite3.connect(cli.index)) as connection:
        connection.execute(
            "UPDATE fulltext_state SET status = 'running', owner = ?, lease_expires_at_ms = 9e15",
            [owner],
        )
        connection.commit()
    ran = cli.run("search", "--json", "prompt 9")
    assert ran.json["complete"] is False
    assert [hit["thread"]["id"] for hit in ran.json["data"]] == [thread_id(9)]
    assert "Another process is indexing" in ran.err
