"""``threadkeep query``: questions in SQL that only read, answered row by row."""

import itertools
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli import errors, output
from cli.options import Places
from state.ask import Answer, ask
from state.errors import InvalidSql, StateError
from state.listing import Query

_CHUNK = 500
_LONGEST_SQL = 1_000_000
_NARROWEST_COLUMN = 8


def run(places: Places, sql: str, *, catch_up: bool, as_json: bool) -> int:
    """Answer ``sql``. Gives the exit status."""
    if sql == "-":
        sql = sys.stdin.buffer.read(_LONGEST_SQL + 1).decode("utf-8", "replace")
    if len(sql) > _LONGEST_SQL:
        raise InvalidSql(f"it is longer than {_LONGEST_SQL:,} characters")
    try:
        with _made_ready(places, catch_up) as (index, note):
            if note:
                output.say(note)
            with ask(index, sql) as answer:
                if as_json:
                    return _document(answer, complete=not note)
                rows = (_table if sys.stdout.isatty() else _lines)(answer)
    except KeyboardInterrupt:
        output.say("Interrupted.")
        return errors.INTERRUPTED
    return errors.OK if rows else errors.NO_MATCH


@contextmanager
def _made_ready(places: Places, catch_up: bool) -> Iterator[tuple[Path, str]]:
    """Bring the index up to date: the one to ask, and why it may not be whole yet, if so."""
    from state.quick import Reader

    with Reader.opened(places.home, places.index, Query(), scan=catch_up) as reader:
        quick = reader is not None
    if quick:
        yield places.index, ""
        return
    from cli.run import caught_up, made_ready
    from state.index import ThreadIndex

    async def work(index: ThreadIndex) -> str:
        # Without catching up: opening it has brought its schema up to date.
        return await caught_up(index) if catch_up else ""

    with made_ready(places, work) as ready:
        yield ready


def _lines(answer: Answer) -> int:
    output.line("\t".join(output.one_line(name) for name in answer.columns))
    count = 0
    for chunk in _chunks(answer):
        count += len(chunk)
        output.lines("\t".join(_text(value) for value in row) for row in chunk)
    return count


def _chunks(answer: Answer) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(answer.rows, _CHUNK)):
        yield chunk


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return output.one_line(str(value))


def _table(answer: Answer) -> int:
    """Tables of so many rows each, so that the first is there before the last is read; a row
    of more columns than fit beside each other stands on lines of its own."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    count = 0
    names = [output.one_line(name) for name in answer.columns]
    for chunk in _chunks(answer):
        count += len(chunk)
        if len(names) * (_NARROWEST_COLUMN + 2) > console.width:
            width = max(map(len, names))
            for row in chunk:
                pairs = zip(names, row, strict=True)
                output.lines([*(f"{name:<{width}}  {_text(value)}" for name, value in pairs), ""])
            continue
        table = Table(box=None, pad_edge=False, header_style="dim")
        for position, name in enumerate(names):
            number = all(isinstance(row[position], int | float | None) for row in chunk)
            table.add_column(Text(name), overflow="fold", justify="right" if number else "left")
        for row in chunk:
            table.add_row(*(Text(_text(value)) for value in row))
        console.print(table)
    return count


def _document(answer: Answer, *, complete: bool) -> int:
    """One JSON document, a row a line; what fails on the way is told at its end."""
    start = {"version": 1, "columns": answer.columns, "complete": complete}
    output.line(json.dumps(start, ensure_ascii=False)[:-1] + ', "rows": [')
    count = 0
    failed: StateError | None = None
    try:
        for chunk in _chunks(answer):
            parts = [json.dumps([_json(v) for v in row], ensure_ascii=False) for row in chunk]
            output.line(("," if count else "") + ",\n".join(parts))
            count += len(chunk)
    except StateError as error:
        failed = error
    told = errors.document(failed)["error"] if failed else None
    output.line(f'], "error": {json.dumps(told, ensure_ascii=False)}}}')
    if failed:
        return errors.outcome(failed).status
    return errors.OK if count else errors.NO_MATCH


def _json(value: Any) -> Any:
    """A value as JSON has it; what JSON has no word for as text."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
