"""The turns of a thread as a list: number, time, prompt, and what came of it."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from cli.render.blocks.tools import duration_text
from cli.render.reading import Reading
from cli.terminal import output
from cli.terminal.cells import settled
from cli.terminal.table import Cell, Column, table
from cli.terminal.text import amount, iso, local, plural
from rollout.history.turn_outline import ListedTurn, TurnOutline
from rollout.turns.item_reader import turn_answer

_COLUMNS: Final = (
    Column("turn", worth=9, right=True),
    Column("began", worth=6),
    Column("prompt", least=24, grows=True),
    Column("files", least=8, worth=8),
    Column("", worth=7),
    Column("tokens", worth=5, right=True),
    Column("took", worth=4, right=True),
)


def lines(reading: Reading) -> Iterator[str]:
    """One turn per line: a table on a terminal, and else number, time and prompt, how many files
    changed by how many lines more and less, how many commands failed, and tokens, with tabs."""
    if output.on_terminal():
        rows = [_cells(turn) for turn in reading.outline()]
        places = [at for at in range(len(_COLUMNS)) if any(row[at].text for row in rows)]
        yield from table(
            [_COLUMNS[at] for at in places], [[row[at] for at in places] for row in rows]
        )
        return
    for turn in reading.outline():
        found = turn.outline
        added, removed = _lines(found)
        facts = (len(found.files), added, removed, len(found.failures), found.tokens)
        told = "\t".join("" if fact is None else str(fact) for fact in facts)
        yield f"{turn.number}\t{iso(turn.started_ms)}\t{turn.prompt}\t{told}"


def _cells(listed: ListedTurn) -> list[Cell]:
    took, found = listed.turn.duration_ms, listed.outline
    prompt = Cell(settled(listed.prompt)) if listed.prompt else Cell("(no prompt)", "dim")
    return [
        Cell(str(listed.number), "bold"),
        Cell(local(listed.started_ms)),
        prompt,
        Cell(settled(files_text(found))),
        Cell(f"{len(found.failures):,} failed" if found.failures else "", "red"),
        Cell("" if found.tokens is None else amount(found.tokens)),
        Cell("" if took is None else duration_text(took), "dim"),
    ]


def files_text(outline: TurnOutline) -> str:
    """What a turn changed: ``3 files +12 −4``, or the name of the one file; empty for nothing."""
    if not outline.files:
        return ""
    added, removed = _lines(outline)
    one = len(outline.files) == 1
    name = PurePath(outline.files[0].path).name if one else plural(len(outline.files), "file")
    counts = (f"+{added:,}" if added else "", f"−{removed:,}" if removed else "")
    return " ".join(filter(None, (name, *counts)))


def _lines(outline: TurnOutline) -> tuple[int, int]:
    """How many lines a turn added, and how many it removed."""
    files = outline.files
    if not files:
        return 0, 0
    return sum(file.added for file in files), sum(file.removed for file in files)


def document(reading: Reading) -> dict[str, Any]:
    """The JSON of the list."""
    return {
        "version": 1,
        "id": reading.row["id"],
        "turnCount": len(reading.dialogue.turns),
        "turns": [_turn(each) for each in reading.outline()],
    }


def _turn(listed: ListedTurn) -> dict[str, Any]:
    turn, found = turn_answer(listed.turn, [], "notLoaded"), listed.outline
    names = ("id", "status", "startedAt", "completedAt", "durationMs")
    return {
        "number": listed.number,
        **{name: turn[name] for name in names},
        "prompt": listed.prompt,
        "files": [
            {
                "path": file.path,
                "kind": file.kind,
                "added": file.added,
                "removed": file.removed,
                "movedFrom": file.moved_from,
            }
            for file in found.files
        ],
        "failures": [
            {"command": each.command, "exitCode": each.exit_code} for each in found.failures
        ],
        "tokens": found.tokens,
    }
