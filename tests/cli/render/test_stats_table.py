"""Statistics of token use as tables, for pipes and terminals of any width."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.render.stats.columns import layout
from tests.samples.hostile import COLOUR, STYLE, hostile_characters
from tests.samples.usage import used_home
from tests.support.command import Cli, Inside
from tests.support.terminal import on_terminal


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    return used_home(tmp_path)


def test_pipes_get_numbers_and_terminals_bars(cli: Cli) -> None:
    ran = cli.run("stats", "--by", "project", "--limit", "2")
    assert ran.lines == [
        "4 threads, 6 responses, 3,660 tokens (3,294 in, 732 cached; 366 out,"
        " 0 reasoning), ≥$0.0061",
        "",
        "project  threads  responses  input  cached  output  reasoning  total      cost",
        "one            2          4  2,835     630     315          0  3,150  ≥$0.0059",
        "two            1          1    450     100      50          0    500   $0.0002",
        "Not shown: 1 project. Use --limit N to see more.",
    ]
    real = Cli(cli.home, cli.base)
    for words in ([], ["--by", "project", "--by", "model"], ["--by", "thread"]):
        shown = on_terminal(real, "stats", *words, columns=130)
        assert "█" in shown
        assert COLOUR.search(shown)
        assert hostile_characters(shown) == set()
        assert all(len(line) <= 130 for line in STYLE.sub("", shown).splitlines())
    assert not COLOUR.search(on_terminal(real, "stats", env={"NO_COLOR": "1"}))


class Started(Cli):
    """The command in a process that has its locale from its environment."""

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        return super().start(*arguments, **options, pass_fds=())  # no fork has its locale


def test_bars_need_no_blocks(cli: Cli) -> None:
    shown = on_terminal(Started(cli.home, cli.base), "stats", env={"LC_ALL": "C"})
    assert "█" not in shown
    assert "####" in shown


NUMBERS = ("threads", "responses", "input", "cached", "output", "reasoning", "total", "cost")


@pytest.mark.parametrize(
    ("names", "room", "numbers", "widths"),
    [
        ([10], 120, "threads responses input cached output reasoning total cost", [10]),
        ([10], 100, "threads responses input cached output reasoning total cost", [10]),
        ([60], 100, "threads responses input cached output reasoning total cost", [29]),
        ([60], 80, "threads input cached output total cost", [31]),
        ([60], 60, "input output total cost", [28]),
        ([60], 40, "total cost", [26]),
        ([60], 28, "total cost", [14]),
        ([30, 30], 100, "threads responses input cached output total cost", [19, 19]),
        ([30, 30], 40, "total cost", [12, 13]),
    ],
)
def test_numbers_are_never_cut(
    names: list[int], room: int, numbers: str, widths: list[int]
) -> None:
    needed = [max(len(name), 6) for name in NUMBERS]
    fit = layout(names, NUMBERS, needed, room)
    assert " ".join(NUMBERS[place] for place in fit.numbers) == numbers
    assert fit.names == widths
    used = [*fit.names, *(needed[place] for place in fit.numbers), *[fit.bar] * (fit.bar > 0)]
    assert sum(used) + fit.gap * (len(used) - 1) <= room
    assert (fit.bar > 0) == (numbers.split() == [*NUMBERS] and names == [10])


def test_narrow_terminals_keep_the_cost(cli: Cli) -> None:
    real = Cli(cli.home, cli.base)
    for words in (["--by", "thread"], ["--by", "project", "--by", "model"]):
        shown = STYLE.sub("", on_terminal(real, "stats", *words, columns=40))
        table = shown.splitlines()[-6:]
        assert all(len(line) <= 40 for line in table)
        assert "$0.0059" in shown or "$0.0057" in shown
        assert "threads" not in shown.splitlines()[2:][0].split()
    assert "threads" not in cli.run("stats", "--by", "thread").lines[2].split()
