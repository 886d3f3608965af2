"""``threadkeep query``: questions in SQL that only read, answered row by row."""

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from cli import errors
from cli.arguments.locations import Locations
from cli.remote.context import SERVING
from cli.terminal import output
from cli.terminal.text import one_line
from state.errors import IndexDamaged, IndexNotWritable, InvalidSql, StateError
from state.reports.sql import LARGEST_VALUE, SqlResult, run_sql

_CHUNK_ROWS = 500
_CHUNK_SIZE = 2**20
_LONGEST_SQL = 1_000_000
_NARROWEST_COLUMN = 8
_LARGEST_SERVED = 2**20
"""The largest text in a server, in bytes: SQLite cannot be stopped in the middle of a function."""


def run(locations: Locations, sql: str, *, sync: bool, as_json: bool) -> int:
    """Answer ``sql``. Gives the exit status."""
    if sql == "-":
        sql = sys.stdin.buffer.read(_LONGEST_SQL + 1).decode("utf-8", "replace")
    if len(sql) > _LONGEST_SQL:
        raise InvalidSql(f"it is longer than {_LONGEST_SQL:,} characters")
    largest = _LARGEST_SERVED if SERVING.get() else LARGEST_VALUE
    with ExitStack() as stack:
        here, note = _make_ready(locations, sync, stack)
        try:
            answer = stack.enter_context(run_sql(here.index, sql, largest))
        except IndexDamaged as damage:  # deeper than opening the index looks
            from cli.runtime.open_index import put_aside

            put_aside(here, damage)
            here, note = _make_ready(locations, sync, stack)
            answer = stack.enter_context(run_sql(here.index, sql))
        if note:
            output.say(note)
        if as_json:
            return _document(answer, complete=not note)
        rows = (_table if output.on_terminal() else _lines)(answer)
    return errors.OK if rows else errors.NO_MATCH


def _make_ready(locations: Locations, sync: bool, stack: ExitStack) -> tuple[Locations, str]:
    """Bring the index up to date: where to ask it, and why it may not be whole yet, if so.

    Where it cannot be written that is a copy, which lives as long as ``stack``.
    """
    from state.query.oneshot import Reader

    if SERVING.get():
        return locations, ""
    with Reader.opened(locations.home, locations.index, scan=sync) as reader:
        if reader is not None:
            return locations, ""
    from cli.runtime.open_index import catch_up, temporary_copy, with_index
    from state.thread_index import ThreadIndex

    async def work(index: ThreadIndex) -> str:
        # Without catching up, opening it has still brought its schema up to date.
        return await catch_up(index) if sync else ""

    try:
        return locations, with_index(locations, work)
    except IndexNotWritable as problem:
        copy = stack.enter_context(temporary_copy(locations, problem))
        return copy, with_index(copy, work)


def _lines(answer: SqlResult) -> int:
    output.line("\t".join(one_line(name) for name in answer.columns))
    count = 0
    for chunk in _chunks(answer):
        count += len(chunk)
        output.lines("\t".join(_text(value) for value in row) for row in chunk)
    return count


def _chunks(answer: SqlResult) -> Iterator[list[tuple[Any, ...]]]:
    """The rows, so many at a time as are worth a write, and no more than memory is for."""
    chunk: list[tuple[Any, ...]] = []
    size = 0
    for row in answer.rows:
        chunk.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(chunk) == _CHUNK_ROWS or size > _CHUNK_SIZE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return one_line(str(value))


def _table(answer: SqlResult) -> int:
    """Tables of so many rows each, so that the first is there before the last is read; a row
    of more columns than fit beside each other stands on lines of its own."""
    from rich.table import Table
    from rich.text import Text

    width_here = output.width()
    count = 0
    names = [one_line(name) for name in answer.columns]
    for chunk in _chunks(answer):
        count += len(chunk)
        if len(names) * (_NARROWEST_COLUMN + 2) > width_here:
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
        output.table(table)
    return count


def _document(answer: SqlResult, *, complete: bool) -> int:
    """One JSON document, a row a line; what fails on the way is told at its end."""
    start = {"version": 1, "columns": answer.columns, "complete": complete}
    output.line(output.json_text(start)[:-1] + ', "rows": [')
    count = 0
    failed: StateError | None = None
    try:
        for chunk in _chunks(answer):
            parts = [output.json_text([_json(v) for v in row]) for row in chunk]
            output.line(("," if count else "") + ",\n".join(parts))
            count += len(chunk)
    except StateError as error:
        if SERVING.get():
            raise  # whoever asks tries it without a server
        failed = error
    told = errors.document(failed)["error"] if failed else None
    output.line(f'], "error": {output.json_text(told)}}}')
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
