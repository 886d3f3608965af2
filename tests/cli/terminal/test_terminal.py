"""What a person at a terminal sees: the table, colours, progress; and nothing that misleads."""

import json
import os
import pty
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminal.cells import cells
from cli.terminal.text import many_lines, one_line, one_line_marked
from tests.samples.hostile import COLOUR, HOSTILE, STYLE, hostile_characters
from tests.support.command import COMMAND, Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.terminal import on_terminal


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for a home of hostile and twin threads; tests only read."""
    base = tmp_path_factory.mktemp("terminal")
    home = base / "home"
    write_rollout(home, 1, HOSTILE, cwd="/work/\x1b[2Jproject \u202e x", provider="\x1b[5mopenai")
    write_rollout(home, 2, "a plain title", cwd=str(base / "user" / "code"))
    write_rollout(home, 3, "日本語の長い題名" * 20)
    cli = Inside(home, base)
    cli.run("backfill")
    return cli


def test_titles_cannot_steer_the_terminal(small: Cli) -> None:
    for arguments in (["list"], ["show", thread_id(1)], ["status"]):
        shown = on_terminal(small, *arguments, columns=200)
        assert hostile_characters(shown) == set(), arguments
        assert not re.search("\x1b(?!\\[[0-9;]*m)", shown)
    listed = STYLE.sub("", on_terminal(small, "list", columns=400))
    assert "see red gnp.exe x bell back nul tab here line two three" in listed


def test_escape_sequences_leave_nothing_behind() -> None:
    text = (
        "a \x1b[1;31mred\x1b[0m\tb\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x9b2Jc\x9d0;x\x9c\x1b[3"
    )
    assert one_line(text) == "a red blink c"
    assert many_lines(text) == "a red\tblink c"
    assert one_line("Dvo\xc5\x99\xc3\xa1k \x9e\x98\x9d stays") == "Dvo\xc5\xc3\xa1k stays"
    assert one_line("\x1b]0;never ended\nnext") == "next"
    for text in ("\x9d", "\x1b[", "\x1b[0", "\x1b]", "\x1b[ ", "\x90\x1b"):
        assert one_line(text * 50_000) == ""  # and not in the square of its length


@given(
    st.text("ab \x1b[]31;m\x07\x9b\0", max_size=40),
    st.lists(st.integers(0, 40), max_size=6, unique=True),
)
def test_marks_in_a_line_change_nothing_of_it(text: str, places: list[int]) -> None:
    ends = sorted(places)[: len(places) // 2 * 2]
    pieces = [*one_line_marked(text, [*zip(ends[::2], ends[1::2], strict=True)])]
    assert one_line("".join(piece for piece, _ in pieces)) == one_line(text)
    assert [marked for _, marked in pieces] == [False, True] * (len(ends) // 2) + [False]


def test_titles_cannot_break_the_lines_for_pipes(small: Cli) -> None:
    ran = small.run("list")
    assert len(ran.lines) == 3
    assert all(line.count("\t") == 5 for line in ran.lines)
    assert hostile_characters(ran.out.replace("\t", "")) == set()
    assert hostile_characters(small.run("show", thread_id(1), "--meta").out) == set()
    assert hostile_characters(small.run("show", thread_id(1)).out) == {"\t"}


def test_json_keeps_titles_as_they_are_on_one_line_each(small: Cli) -> None:
    ran = small.run("show", thread_id(1), "--json")
    shown = ran.json["thread"]
    assert shown["preview"] == HOSTILE
    assert shown["cwd"] == "/work/\x1b[2Jproject \u202e x"
    assert "\x1b" not in ran.out


STEERING = "a \x9b2J b \x90q c \u202e d \u2066 e \x7f f \u2028 g \U000e0041 h \u200d \ufeff é 日本"


def test_json_on_a_terminal_spells_out_what_would_steer_it(tmp_path: Path) -> None:
    path = write_rollout(tmp_path / "home", 1, STEERING, cwd=f"/w/{STEERING}")
    lines = map(json.loads, path.read_text().splitlines())
    path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
    cli = Inside(tmp_path / "home", tmp_path)
    cli.run("relink", f"/w/{STEERING}", "/new")
    for arguments in (
        ["list", "--json"],
        ["show", thread_id(1), "--json"],
        ["query", "SELECT first_user_message FROM threads", "--json"],
        ["export", thread_id(1), "--format", "jsonl"],
        ["dump"],
    ):
        shown = on_terminal(cli, *arguments, columns=400).replace("\r\n", "\n")
        piped = cli.run(*arguments).out
        assert hostile_characters(shown) == set(), arguments
        assert "é 日本" in shown
        for one, other in zip(shown.split("\n"), piped.split("\n"), strict=True):
            if arguments[-1] in ("jsonl", "dump") and one:
                assert json.loads(one) == json.loads(other)
        if arguments[-1] == "--json":
            assert json.loads(shown) == json.loads(piped)
            assert STEERING[:10] in piped


def test_pipes_get_no_escape_codes_even_when_a_terminal_is_promised(small: Cli) -> None:
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    commands = (["list"], ["list", "--json"], ["show", thread_id(2)], ["status"], ["sync"])
    for ran in small.run_each(commands, env=env):
        assert "\x1b" not in ran.out + ran.err


def test_colours_are_for_terminals_that_want_them(small: Cli) -> None:
    assert COLOUR.search(on_terminal(small, "list"))
    assert not COLOUR.search(on_terminal(small, "list", env={"NO_COLOR": "1"}))
    assert "\x1b" not in on_terminal(small, "list", env={"TERM": "dumb"})


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_fits_and_its_ids_are_unique_prefixes(small: Cli, columns: int) -> None:
    shown = STYLE.sub("", on_terminal(small, "list", columns=columns))
    head, *rows = shown.replace("\r\n", "\n").splitlines()[:4]
    if columns >= 80:
        assert head.split() == ["age", "thread", "folder", "tokens", "id"]
    for row, number in zip(rows, (3, 2, 1), strict=True):
        wide = sum(unicodedata.east_asian_width(character) in "WF" for character in row)
        assert len(row) + wide <= columns
        shown_id = row.split()[-1]
        assert thread_id(number).startswith(shown_id)
        assert not any(thread_id(other).startswith(shown_id) for other in {1, 2, 3} - {number})
        if columns == 80:
            found = small.run("show", shown_id, "--json").json["thread"]["id"]
            assert found == thread_id(number)


def test_the_users_folder_is_a_tilde_in_the_table_only(small: Cli) -> None:
    assert "~/code" in on_terminal(small, "list", columns=140)
    assert str(small.base / "user" / "code") in small.run("list").out


def test_the_table_of_the_corpus_shows_what_a_person_looks_for(
    corpus_home: Path, corpus_index: Path, tmp_path: Path
) -> None:
    cli = Inside(corpus_home, tmp_path, {"THREADKEEP_DB": str(corpus_index)})
    options = ("--limit", "5", "--sort", "created_at")
    shown = STYLE.sub("", on_terminal(cli, "list", *options, columns=140, words=True))
    rows = shown.replace("\r\n", "\n").splitlines()
    heads = ["created", "thread", "folder", "branch", "tokens", "id"]  # all have one model
    assert rows[0].split() == heads
    threads = cli.run("list", *options, "--json").json["data"]
    for row, thread in zip(rows[1:6], threads, strict=True):
        assert thread["id"].startswith(row.split()[-1])
        assert (thread["name"] or thread["preview"])[:20] in row
        assert thread["cwd"].rpartition("/")[2] in row  # the part in which folders differ
    assert rows[6] == "Showing 5 of 160. Use --limit N or --all to see more."
    assert rows[7].startswith("Not shown: ")
    assert hostile_characters(shown) == set()


@pytest.mark.parametrize(("columns", "lines"), [(60, 20), (120, 40)])
def test_a_list_fits_the_terminal_with_what_is_said_below_it(
    corpus_home: Path, corpus_index: Path, tmp_path: Path, columns: int, lines: int
) -> None:
    cli = Inside(corpus_home, tmp_path, {"THREADKEEP_DB": str(corpus_index)})
    shown = on_terminal(cli, "list", columns=columns, lines=lines, words=True)
    head, *rows = STYLE.sub("", shown).replace("\r\n", "\n").splitlines()
    assert len(rows) + 2 == lines  # the heads, and the next prompt
    assert max(map(cells, (head, *rows))) <= columns
    titles = head.index("thread"), min(head.index(name) for name in ("folder", "id"))
    assert titles[1] - titles[0] - 2 == columns / 2
    below = next(n for n, row in enumerate(rows) if row.startswith("Showing "))
    assert rows[below] == f"Showing {below} of 160. Use --limit N or --all to see more."
    assert " ".join(" ".join(rows[below + 1 :]).split()) == (
        "Not shown: 24 not interactive (--all-sources), 1 side thread (--all-sources),"
        " 7 archived (--archived), 2 empty."
    )


def test_progress_goes_to_the_terminal_and_never_into_the_data(small: Cli) -> None:
    shown = on_terminal(small, "backfill", "--force", words=True)
    assert "Backfill complete: 3 files, 3 read" in STYLE.sub("", shown)
    script = f"{COMMAND[0]} backfill --force --json > counted.json"
    environment = {**small.environment({"TERM": "xterm"})}
    ours, theirs = pty.openpty()
    done = subprocess.run(
        ["sh", "-c", script],
        env=environment,
        cwd=small.base,
        stderr=theirs,
        check=True,
        timeout=PATIENCE_S,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    counted = (small.base / "counted.json").read_bytes()
    assert b"\x1b" not in counted
    assert counted.startswith(b"{\n")
