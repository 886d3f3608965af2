"""``show --tree``: the forks, side threads and subagents of a thread."""

from pathlib import Path
from typing import Any

import pytest

from rollout.schema.modes import PAGINATED
from tests.samples.homes import encoded, lines, thread_id, write
from tests.samples.hostile import HOSTILE, STYLE, hostile_characters
from tests.samples.long_threads import content, put
from tests.support.command import Cli, Inside
from tests.support.terminal import on_terminal

SPAWN = {"agent_nickname": "Ada", "agent_role": "explorer", "depth": 1}


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    """A thread of three turns, with a fork that began after two of them, a side thread, subagents,
    and a fork of one that is missing."""
    home = tmp_path / "home"
    data = content(1, PAGINATED, 3)
    put(home, 1, data)
    whole = data.splitlines(keepends=True)
    end = next(n for n, line in enumerate(whole) if b'"turn 2"' in line)
    base = {
        "thread_id": thread_id(1),
        "end_ordinal_exclusive": end,
        "end_byte_offset": len(b"".join(whole[:end])),
    }
    fork: dict[str, Any] = {
        "history_mode": PAGINATED,
        "history_base": base,
        "forked_from_id": thread_id(1),
    }
    first = lines(2, **fork)[0] | {"ordinal": end}
    write(home, 2, encoded([first]))
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(2), **SPAWN}}}
    metas: dict[int, dict[str, Any]] = {
        3: {"source": spawned},
        4: {"source": {"subagent": "review"}, "parent_thread_id": thread_id(3)},
        5: {"forked_from_id": thread_id(1), "attached_thread": True},
        7: {"forked_from_id": thread_id(6)},
    }
    for number, meta in metas.items():
        write(home, number, encoded(lines(number, HOSTILE, **meta)), archived=number == 5)
    return Inside(home, tmp_path)


def columns(cli: Cli, number: int) -> list[list[str]]:
    return [line.split("\t")[:6] for line in cli.run("show", thread_id(number), "--tree").lines]


def test_a_pipe_gets_all_of_it(cli: Cli) -> None:
    expected = [
        [thread_id(1), "0", "", "", "", ""],
        [thread_id(2), "1", "fork", "2", "", ""],
        [thread_id(3), "2", "subagent", "", "Ada explorer", ""],
        [thread_id(4), "3", "subagent", "", "review", ""],
        [thread_id(5), "1", "side", "", "", "archived"],
    ]
    for number in (4, 1):  # into a new index, and from one that is there
        assert columns(cli, number) == expected
    ran = cli.run("show", thread_id(7), "--tree")
    assert [line.split("\t")[:2] for line in ran.lines] == [
        [thread_id(6), "0"],
        [thread_id(7), "1"],
    ]
    assert hostile_characters(ran.out) <= {"\t"}


def test_a_terminal_gets_branches(cli: Cli) -> None:
    cli.run("list")
    real = Cli(cli.home, cli.base)
    shown = on_terminal(real, "show", thread_id(3), "--tree", columns=110)
    assert hostile_characters(shown) == set()
    rows = STYLE.sub("", shown).splitlines()
    branches = [row.split("prompt" if n < 2 else "‽")[0] for n, row in enumerate(rows[1:])]
    assert [[mark in row for mark in "├└│"] for row in branches] == [
        [False, False, False],
        [True, False, False],
        [False, True, True],
        [False, True, True],
        [False, True, False],
    ]
    notes = ["", "fork after turn 2", "this one, subagent Ada explorer", "subagent review"]
    for row, note in zip(rows[1:], [*notes, "side thread, archived"], strict=True):
        assert note in row
        assert ("this one" in row) == ("Ada" in row)


def test_what_is_too_much_for_a_terminal_is_counted(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    write(cli.home, 0)
    for number in range(1, 106):
        write(cli.home, number, encoded(lines(number, forked_from_id=thread_id(0))))
    for number in range(106, 130):
        write(cli.home, number, encoded(lines(number, forked_from_id=thread_id(number - 1))))
    assert len(columns(cli, 1)) == 130
    real = Cli(cli.home, cli.base)
    shown = STYLE.sub(
        "", on_terminal(real, "show", thread_id(1), "--tree", "--no-pager", words=True)
    )
    assert "… 5 more" in shown
    assert "Not shown: 5 more." in shown
    deep = STYLE.sub("", on_terminal(real, "show", thread_id(129), "--tree", words=True))
    assert "It begins further up: threadkeep show" in deep
    assert "this one" in deep
    found = cli.run("show", thread_id(129), "--tree", "--json").json
    assert (found["above"], found["tree"]["id"]) == (None, thread_id(0))
    assert (len(found["tree"]["children"]), found["tree"]["more"]) == (105, 0)


def test_json(cli: Cli) -> None:
    found = cli.run("show", thread_id(4), "--tree", "--json").json
    assert (found["version"], found["id"], found["above"]) == (1, thread_id(4), None)
    tree = found["tree"]
    assert (tree["id"], tree["kind"], tree["turn"], tree["more"]) == (thread_id(1), None, None, 0)
    fork, side = tree["children"]
    assert (fork["kind"], fork["turn"], side["kind"]) == ("fork", 2, "side")
    assert fork["thread"] == cli.run("show", thread_id(2), "--meta", "--json").json["thread"]
    (missing,) = cli.run("show", thread_id(7), "--tree", "--json").json["tree"]["children"]
    assert missing["id"] == thread_id(7)
    assert cli.run("show", thread_id(7), "--tree", "--json").json["tree"]["thread"] is None


def test_wrong_usage(cli: Cli) -> None:
    for words in (["--outline"], ["--meta"], ["--last", "1"], ["--turn", "1"], ["--full"]):
        assert "--tree cannot" in cli.run("show", "x", "--tree", *words, status=2).err
    cli.run("show", "nothing", "--tree", status=3)
