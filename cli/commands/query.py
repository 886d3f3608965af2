"""``threadkeep query``."""

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, SyncOption, locations
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from cli.terminal.drawing import console
from cli.terminal.text import one_line
from state.errors import IndexDamaged, IndexNotWritable, InvalidSql, StateError

if TYPE_CHECKING:
    from state.query.oneshot import IndexReader
    from state.reports.sql import SqlResult
    from state.thread_index import ThreadIndex

_CHUNK_ROWS = 500
_CHUNK_SIZE = 2**20
_LONGEST_SQL = 1_000_000
_NARROWEST_COLUMN = 8
_PRICED = ("v_usage", "v_thread_usage", "usage_rates")
"""Statements that name one of these have prices looked up before."""
_LARGEST_SERVED = 2**20
"""The largest text in a server, in bytes: SQLite cannot be stopped within a function."""


def command(
    context: typer.Context,
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="One statement that reads; - reads it from stdin.")
    ],
    sync: SyncOption = True,
    as_json: JsonOption = False,
) -> int:
    """Run a read-only SQL query on the index. threadkeep help schema describes its
    views."""
    from state.reports.sql import LARGEST_VALUE, run_sql

    if sql == "-":
        sql = sys.stdin.buffer.read(_LONGEST_SQL + 1).decode("utf-8", "replace")
    if len(sql) > _LONGEST_SQL:
        raise InvalidSql(f"it is longer than {_LONGEST_SQL:,} characters")
    largest = _LARGEST_SERVED if DELEGATED.get() else LARGEST_VALUE
    priced = any(name in sql.lower() for name in _PRICED)
    with ExitStack() as stack:
        here, note = _make_ready(locations(context), sync, priced, stack)
        try:
            result = stack.enter_context(run_sql(here.index, sql, largest))
        except IndexDamaged as damage:  # deeper than opening the index looks
            from cli.runtime.open_index import put_aside

            put_aside(here, damage)
            here, note = _make_ready(locations(context), sync, priced, stack)
            result = stack.enter_context(run_sql(here.index, sql))
        if note:
            output.say(note)
        if as_json:
            return _document(result, complete=not note)
        rows = (_table if output.on_terminal() else _lines)(result)
    return errors.OK if rows else errors.NO_MATCH


def _make_ready(
    here: Locations, sync: bool, priced: bool, stack: ExitStack
) -> tuple[Locations, str]:
    """Bring the index up to date, and with ``priced`` the prices in it. Returns where it is, and
    why it may be incomplete, if so. Raises InvalidPrices if the user's list of prices cannot be
    used.

    Where it cannot be written, that is a copy, which is removed with ``stack``.
    """
    from cli.runtime.in_step import in_step
    from state.prices.current import price_lists, rates_are_current_steps

    if DELEGATED.get() is not None and not priced:
        return here, ""

    def is_ready(reader: "IndexReader") -> bool:
        return not priced or reader.read(rates_are_current_steps(price_lists(here.index)))

    if in_step(here, is_ready, scan=sync):
        return here, ""
    from cli.runtime.open_index import catch_up, look_up_prices, temporary_copy, with_index

    async def work(index: "ThreadIndex") -> str:
        # Without catching up, opening it has still migrated its schema.
        notes = [await catch_up(index)] if sync else []
        if priced:
            notes.append(await look_up_prices(index))
        return "\n".join(note for note in notes if note)

    try:
        return here, with_index(here, work)
    except IndexNotWritable as problem:
        copy = stack.enter_context(temporary_copy(here, problem))
        return copy, with_index(copy, work)


def _lines(result: "SqlResult") -> int:
    output.line("\t".join(one_line(name) for name in result.columns))
    count = 0
    for chunk in _chunks(result):
        count += len(chunk)
        output.lines("\t".join(_text(value) for value in row) for row in chunk)
    return count


def _chunks(result: "SqlResult") -> Iterator[list[tuple[Any, ...]]]:
    """The rows in chunks that are worth a write, and small in memory."""
    chunk: list[tuple[Any, ...]] = []
    size = 0
    for row in result.rows:
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


def _table(result: "SqlResult") -> int:
    """Print a table for each chunk, so that the first appears before the last is read. Rows with
    too many columns for the width are printed one value a line."""
    from rich.table import Table
    from rich.text import Text

    width_here = output.width()
    count = 0
    names = [one_line(name) for name in result.columns]
    for chunk in _chunks(result):
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
        drawn = StringIO()
        console(drawn, width_here).print(table)
        output.write(drawn.getvalue().encode("utf-8", "replace"))
    return count


def _document(result: "SqlResult", *, complete: bool) -> int:
    """Print one JSON document, a row a line. An error on the way is its last key."""
    start = {"version": 1, "columns": result.columns, "complete": complete}
    output.line(output.json_text(start)[:-1] + ', "rows": [')
    count = 0
    failed: StateError | None = None
    try:
        for chunk in _chunks(result):
            parts = [output.json_text([_json(v) for v in row]) for row in chunk]
            output.line(("," if count else "") + ",\n".join(parts))
            count += len(chunk)
    except StateError as error:
        if DELEGATED.get():
            raise  # the client then runs it without a server
        failed = error
    problem = errors.document(failed)["error"] if failed else None
    output.line(f'], "error": {output.json_text(problem)}}}')
    if failed:
        return errors.outcome(failed).status
    return errors.OK if count else errors.NO_MATCH


def _json(value: Any) -> Any:
    """A value for JSON; bytes and infinities as text."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
