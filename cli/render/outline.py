"""The turns of a thread as a list: number, time, prompt."""

from collections.abc import Iterator
from typing import Any, Final

from cli.render.blocks.tools import duration_text
from cli.render.reading import ListedTurn, Reading
from cli.terminal import output
from cli.terminal.cells import settled
from cli.terminal.table import Cell, Column, table
from cli.terminal.text import iso, local
from rollout.history.item_reader import turn_answer

_COLUMNS: Final = (
    Column("turn", worth=9, right=True),
    Column("began", worth=8),
    Column("prompt", grows=True),
    Column("took", worth=7, right=True),
)


def lines(reading: Reading) -> Iterator[str]:
    """One turn per line: a table on a terminal, and else number, time and prompt with tabs."""
    if output.on_terminal():
        yield from table(_COLUMNS, [_cells(turn) for turn in reading.outline()])
        return
    for turn in reading.outline():
        yield f"{turn.number}\t{iso(turn.started_ms)}\t{turn.prompt}"


def _cells(listed: ListedTurn) -> list[Cell]:
    took = listed.turn.duration_ms
    prompt = Cell(settled(listed.prompt)) if listed.prompt else Cell("(no prompt)", "dim")
    return [
        Cell(str(listed.number), "bold"),
        Cell(local(listed.started_ms)),
        prompt,
        Cell("" if took is None else duration_text(took), "dim"),
    ]


def document(reading: Reading) -> dict[str, Any]:
    """The JSON of the list."""
    return {
        "version": 1,
        "id": reading.row["id"],
        "turnCount": len(reading.dialogue.turns),
        "turns": [_turn(each) for each in reading.outline()],
    }


def _turn(listed: ListedTurn) -> dict[str, Any]:
    turn = turn_answer(listed.turn, [], "notLoaded")
    names = ("id", "status", "startedAt", "completedAt", "durationMs")
    return {
        "number": listed.number,
        **{name: turn[name] for name in names},
        "prompt": listed.prompt,
    }
