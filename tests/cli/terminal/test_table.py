"""The table for people: what fits, and how it lines up."""

from collections.abc import Sequence

import pytest

from cli.render.threads import ThreadTable
from cli.terminal.cells import cells, cut_folder
from cli.terminal.table import Cell, Column, table
from state.query.rows import Row

COLUMNS = (
    Column("age", worth=9),
    Column("thread", grows=True),
    Column("folder", 10, 26, worth=7, drops_same=True, cut=cut_folder),
    Column("tokens", worth=4, right=True),
    Column("id", worth=8),
)
TITLE = "Fix the retry of webhooks that the payment service sends twice"


def lines(rows: Sequence[Sequence[str]], room: int, *, keep_all: bool = False) -> list[str]:
    made = [[Cell(text) for text in row] for row in rows]
    return [*table(COLUMNS, made, room=room, keep_all=keep_all)]


def test_the_title_has_half_of_the_line_and_the_rest_goes_by_worth() -> None:
    rows = [
        ("3h", TITLE, "~/code/shop/payments", "1.2M", "01a222d0"),
        ("12d", "Rename", "~/code/infra", "950", "01a1f5d2-d"),
    ]
    assert lines(rows, 30) == [
        "age thread          id",
        "3h  Fix the retry…  01a222d0",
        "12d Rename          01a1f5d2-d",
    ]
    assert lines(rows, 60) == [
        "age  thread                          folder       id",
        "3h   Fix the retry of webhooks…      …/payments   01a222d0",
        "12d  Rename                          …/infra      01a1f5d2-d",
    ]
    assert lines(rows, 90)[1] == (
        "3h   Fix the retry of webhooks that the payment…    …/shop/payments       1.2M  01a222d0"
    )


def test_what_all_rows_repeat_is_left_out_unless_it_was_asked_for() -> None:
    rows = [("3h", "One", "~/code", "1", "a"), ("4h", "Two", "~/code", "2", "b")]
    assert lines(rows, 60)[0].split() == ["age", "thread", "tokens", "id"]
    assert lines(rows, 60, keep_all=True)[0].split() == [column.head for column in COLUMNS]
    assert "~/code" in lines(rows[:1], 60)[1]


def test_numbers_and_ids_are_never_cut() -> None:
    rows = [("3h", TITLE, "~/code/shop/payments", "1.2M", "01a222d0")]
    assert lines(rows, 20, keep_all=True) == [
        "age th… …er tokens id",
        "3h  Fi… …ts   1.2M 01a222d0",
    ]


@pytest.mark.parametrize(
    ("room", "keep_all"),
    [*((room, False) for room in (30, 45, 60, 80, 120)), (45, True), (60, True), (120, True)],
)
def test_wide_and_joined_characters_line_up(room: int, keep_all: bool) -> None:
    titles = [TITLE, "日本語の長い題名" * 9, "🎉👩👩👧 ❤ e\u0301toile " * 5, "", "x"]
    rows = [("3h", title, f"~/{n}/日本", "1.2M", f"{n}1a222d0") for n, title in enumerate(titles)]
    shown = lines(rows, room, keep_all=keep_all)
    assert all(cells(line) <= room for line in shown)
    assert len({cells(line) - cells(line.split()[-1]) for line in shown}) == 1  # ids begin there


def row(number: int, **more: object) -> Row:
    return {
        "id": f"0{number}a222d0-0000-7000-8000-000000000000",
        "recency_at_ms": 0,
        "history_mode": "legacy",
        "name": None,
        "title": "",
        "first_user_message": "",
        "preview": f"Prompt {number}",
        "fallback_preview": "",
        "cwd": f"/home/dev/code/{number}",
        "git_branch": "main",
        "model": f"gpt-{number}",
        "tokens_used": 1000 * number,
        "source_kind": "cli",
        "size_bytes": 2048,
        **more,
    }


def test_threads_have_the_columns_that_say_something() -> None:
    head, first, _ = ThreadTable(short_ids={row(1)["id"]: "01a2"}).lines([row(1), row(2)], 100)
    assert head.split() == ["age", "thread", "folder", "model", "tokens", "id"]
    assert first.split()[1:] == ["Prompt", "1", "/home/dev/code/1", "gpt-1", "1.0k", "01a2"]
    asked = ThreadTable(columns=("branch", "size", "cost"), keep_all=True)
    assert [line.split() for line in asked.lines([row(1)], 100)] == [
        ["branch", "size", "cost"],
        ["main", "2.0kB", "—"],
    ]


def test_how_many_machines_have_a_thread_is_kept_where_the_name_is_cut() -> None:
    rows = [
        row(1, machine="laptop-of-ada", machines=["laptop-of-ada", "b"], user="a"),
        row(2, machine="desktop", machines=["desktop"], user="a"),
    ]
    columns = ("age", "thread", "machine")
    for room in (28, 40, 60, 100):
        first = [*ThreadTable(columns=columns).lines(rows, room)][1]
        assert " +1" in first, room
