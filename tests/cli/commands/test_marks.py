"""``tag``, ``untag``, ``pin``, ``unpin``, ``note`` and ``mark``, and the lists that use them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.terminal.style import unstyled
from state.db.location import journal_path
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.terminal import on_terminal

ONE, TWO, OLD = thread_id(1), thread_id(2), thread_id(3)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of four threads, the last of them archived."""
    home = tmp_path / "home"
    for number in range(3):
        write_rollout(home, number, f"thread {number}", cwd="/a" if number else "/b")
    write_rollout(home, 3, "thread 3", archived=True)
    return Inside(home, tmp_path)


def marks(cli: Cli, id_: str) -> Any:
    """The marks in the JSON of a thread."""
    return cli.run("show", id_, "--meta", "--json").json["thread"].get("marks")


def test_tags_are_put_on_threads_listed_and_taken_off(cli: Cli) -> None:
    assert "threadkeep tag TAGS THREAD puts some on one" in cli.run("tag", status=1).err
    assert cli.run("tag", "--json", status=1).json == {"version": 1, "tags": []}
    ran = cli.run("tag", "Bug, shop,bug", ONE, OLD)
    assert sorted(ran.lines) == [f"{ONE}\tbug,shop", f"{OLD}\tbug,shop"]
    cli.run("tag", "shop", "-", stdin=f"id\ttitle\n{TWO}\tthread 2\n")
    assert cli.run("tag").lines == ["bug\t2", "shop\t3"]
    counts = [{"tag": "bug", "threads": 2}, {"tag": "shop", "threads": 3}]
    assert cli.run("tag", "--json").json == {"version": 1, "tags": counts}
    assert cli.ids("--tag", "SHOP") == [TWO, ONE]
    assert cli.ids("--tag", "shop", "--tag", "bug") == [ONE]
    assert cli.ids("--tag", "bug", "--archived") == [OLD]
    assert cli.run("untag", "bug,none", ONE).lines == [f"{ONE}\tshop"]
    assert cli.ids("--tag", "bug", status=1) == []
    assert marks(cli, OLD) == {"tags": ["bug", "shop"]}
    assert "Similar tags: bug\n" in cli.run("list", "--tag", "bugs", status=1).err
    assert "Similar" not in cli.run("list", "--tag", "shop", "--cwd", "/b", status=1).err


def test_filters_choose_what_is_marked(cli: Cli) -> None:
    assert "no threads are given" in cli.run("tag", "x", status=2).err
    assert "there is no terminal" in cli.run("tag", "x", "--cwd", "/a", status=2).err
    ran = cli.run("tag", "x", "--cwd", "/a", "--dry-run")
    assert sorted(ran.lines) == [f"{id_}\twould be x" for id_ in (ONE, TWO)]
    assert not journal_path(cli.index).exists()
    printed = cli.run("tag", "x", "--cwd", "/a", "--yes", "--json").json
    assert [(each["done"], each["marks"]) for each in printed["threads"]] == [
        (True, {"tags": ["x"]})
    ] * 2
    ran = cli.run("mark", "done", "--tag", "x", "--yes")
    assert sorted(ran.lines) == [f"{ONE}\tdone", f"{TWO}\tdone"]
    assert cli.run("pin", "--archived", "--search", "thread", "--yes").lines == [f"{OLD}\tpinned"]
    assert cli.ids("--pinned", "--archived") == [OLD]
    assert cli.ids("--status", "done", "--status", "todo") == [TWO, ONE]
    assert cli.ids("--not-pinned", "--tag", "x") == [TWO, ONE]
    ran = cli.run("archive", "--not-pinned", "--yes", status=2)
    assert "--not-pinned and --exclude choose no threads by themselves" in ran.err
    cli.run("pin", TWO)
    assert cli.run("archive", "--tag", "x", "--not-pinned", "--yes").lines[0].startswith(ONE)
    assert cli.ids() == [TWO, thread_id(0)]
    assert marks(cli, ONE) == {"tags": ["x"], "status": "done"}


def test_a_tag_is_deleted_only_after_a_question(cli: Cli) -> None:
    cli.run("tag", "bug,old", ONE, TWO, OLD)
    assert "there is no terminal" in cli.run("untag", "bug", status=2).err
    assert "Would remove bug from 3 threads." in cli.run("untag", "bug", "--dry-run").err
    asked = on_terminal(cli, "untag", "bug,old", typed="n\n", status=1, words=True)
    assert "Remove bug from 3 threads, old from 3 threads?" in asked
    assert "Nothing was changed." in asked
    printed = cli.run("untag", "BUG", "--yes", "--json").json
    assert printed == {
        "version": 1,
        "action": "untag",
        "dryRun": False,
        "tags": [{"tag": "bug", "threads": 3}],
    }
    assert cli.run("tag").lines == ["old\t3"]
    assert "No thread has bug.\n" in cli.run("untag", "bug", "--yes", status=1).err
    assert "none" not in cli.run("untag", "old", "--archived", status=2).err


def test_pins_notes_and_statuses_are_set_and_shown(cli: Cli) -> None:
    assert "has no note" in cli.run("note", ONE, status=1).err
    assert cli.run("note", ONE, "--json", status=1).json == {"version": 1, "id": ONE, "note": None}
    text = "first \x1b[31mline\nsecond"
    assert cli.run("note", ONE, f" {text}\n").lines == [f"{ONE}\tfirst line second"]
    assert cli.run("note", ONE).lines == ["first [31mline", "second"]
    assert cli.run("note", ONE, "--json").json["note"] == text
    cli.run("pin", ONE)
    cli.run("mark", "waiting", ONE)
    cli.run("tag", "b,a", ONE)
    found = {"tags": ["a", "b"], "pinned": True, "note": text, "status": "waiting"}
    assert marks(cli, ONE) == found
    assert cli.run("list", "--tag", "a", "--json").json["data"][0]["marks"] == found
    assert cli.run("search", "thread", "--tag", "a", "--json").json["data"][0]["thread"]["marks"]
    assert cli.run("show", ONE, "--json").json["thread"]["marks"] == found
    lines = cli.run("show", ONE).lines
    assert lines[2:4] == ["pinned · waiting · #a #b", "note: first line second"]
    shown = cli.run("show", ONE, "--meta").lines
    assert {"pinned       yes", "tags         a, b", "status       waiting"} <= {*shown}
    ran = cli.run("list", "--columns", "id,tags,status,note", "--limit", "2")
    assert ran.lines == [f"{TWO}\t\t\t", f"{ONE}\ta,b\twaiting\tfirst line second"]
    assert "marks" not in cli.run("export", ONE, "--format", "json").json["thread"]
    assert cli.run("note", OLD, "archived, too").lines == [f"{OLD}\tarchived, too"]
    cli.run("unpin", ONE)
    cli.run("mark", "none", ONE)
    assert cli.run("note", ONE, "").lines == [f"{ONE}\t"]
    assert marks(cli, ONE) == {"tags": ["a", "b"]}
    cli.run("untag", "a,b", ONE)
    assert marks(cli, ONE) is None
    assert cli.run("verify", "--deep").status == 0


def seen(cli: Cli, *words: str) -> list[str]:
    """The lines on a terminal of 60 columns, without colours."""
    return unstyled(on_terminal(cli, *words, columns=60)).splitlines()


def test_lists_show_pins_and_tags_beside_the_titles(cli: Cli) -> None:
    cli.run("pin", TWO)
    cli.run("tag", "shop,urgent", TWO)
    cli.run("tag", "x" * 40, ONE)
    head, two, one, zero = seen(cli, "list")[:4]
    assert "★ thread 2 #shop #urgent" in two
    assert f"thread 1 #{'x' * 7}…" in one
    assert "thread 0" in zero
    assert "#" not in head + zero
    assert max(map(len, (two, one, zero))) <= 60
    with_column = seen(cli, "list", "--columns", "thread,tags")[1]
    assert with_column.split() == ["★", "thread", "2", "shop,urgent"]
    assert "★" not in cli.run("list").out
    assert "★ thread 2 #shop" in " ".join(seen(cli, "search", "thread"))


def test_a_note_is_written_in_the_editor(cli: Cli) -> None:
    editor = cli.base / "my editor"
    before = cli.base / "before"
    editor.write_text(f'#!/bin/sh\ncat "$2" > {before}; printf "$1" > "$2"\n')
    editor.chmod(0o755)
    cli.run("note", ONE, "before")

    def edit(text: str, status: int = 0) -> str:
        variables = {"EDITOR": f"'{editor}' '{text}'", "VISUAL": ""}
        return on_terminal(cli, "note", ONE, "--edit", env=variables, words=True, status=status)

    edit("after it\\n")
    assert before.read_text() == "before"
    assert cli.run("note", ONE).out == "after it\n"
    assert "unchanged" in edit("after it\\n")
    editor.write_text("#!/bin/sh\nexit 3\n")
    shown = edit("x", status=2)
    assert "failed: exit status 3" in shown
    assert "set EDITOR to the command of yours" in shown
    assert cli.run("note", ONE).out == "after it\n"
    ran = cli.run("note", ONE, "--edit", status=2)
    assert "there is no terminal for an editor" in ran.err


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        (("tag", "a b", ONE), "holds a blank", "threadkeep tag -h"),
        (("tag", ",", ONE), "no tags are given", "such as bug"),
        (("tag", ONE, "bug"), f"{ONE} is the id of a thread", "give the tags first"),
        (("tag", "--cwd", "/a"), "no tags are given", "threadkeep tag bug,urgent"),
        (("tag", "bug", "nobody"), "no thread matches", "threadkeep search nobody"),
        (("untag",), "untag needs TAGS", "threadkeep untag"),
        (("mark", "later", ONE), "'later' is not a status", "todo, doing, waiting, done, none"),
        (("mark", "done"), "no threads are given", "filters such as"),
        (("pin",), "no threads are given", "filters such as"),
        (("note", ONE, "x", "--edit"), "cannot be combined", "threadkeep note -h"),
        (("note", ONE, "x" * 10_001), "at most 10,000 characters", "note -h"),
        (("list", "--status", "later"), "unknown status 'later'", "threadkeep list -h"),
        (("list", "--tag", "a,b"), "holds a comma", "threadkeep list -h"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_wrong_use_says_what_to_do(
    cli: Cli, words: tuple[str, ...], problem: str, hint: str
) -> None:
    ran = cli.run(*words, status=None)
    assert ran.status in (2, 3)
    assert problem in ran.err
    assert hint in ran.err
    assert not journal_path(cli.index).exists()


def test_marks_go_to_another_machine_by_a_dump(cli: Cli, tmp_path: Path) -> None:
    cli.run("tag", "bug", ONE, OLD)
    cli.run("pin", ONE)
    cli.run("mark", "todo", ONE)
    dump = str(cli.base / "dump.jsonl")
    cli.run("dump", dump)
    other = Inside(cli.home, tmp_path / "other")
    os.makedirs(other.base, exist_ok=True)
    other.run("tag", "theirs", ONE)
    other.run("mark", "done", ONE)
    other.run("restore", dump)
    assert marks(other, ONE) == {"tags": ["bug", "theirs"], "pinned": True, "status": "done"}
    assert marks(other, OLD) == {"tags": ["bug"]}
    lines = [json.loads(line) for line in Path(dump).read_text().splitlines()[1:]]
    assert {line["key"] for line in lines} == {"tag:bug", "pinned", "status"}


def test_marks_can_be_asked_for_in_sql(cli: Cli) -> None:
    cli.run("tag", "b,a", ONE)
    cli.run("pin", ONE, TWO)
    cli.run("note", TWO, "look")
    cli.run("mark", "doing", TWO)
    cli.run("unpin", ONE)
    sql = "SELECT id, pinned, status, tags, note FROM v_threads ORDER BY id"
    rows = cli.run("query", sql, "--json").json["rows"]
    assert rows == [
        [thread_id(0), 0, None, None, None],
        [ONE, 0, None, "a,b", None],
        [TWO, 1, "doing", None, "look"],
        [OLD, 0, None, None, None],
    ]
    sql = "SELECT thread_id, tag FROM v_tags ORDER BY tag"
    assert cli.run("query", sql, "--json").json["rows"] == [[ONE, "a"], [ONE, "b"]]
