"""``threadkeep show``."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import ForceOption, JsonOption, PagerOption, ThreadArgument, locations
from cli.terminal import damage, output
from cli.terminal.cells import labelled
from cli.terminal.text import one_line
from rollout.errors import READ_ALL, without_expansion_limit

if TYPE_CHECKING:
    from cli.render.reading import Reading
    from cli.render.turn_selection import TurnSelection
    from state.query.rows import Row
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    thread: ThreadArgument,
    turn: Annotated[
        str | None,
        typer.Option(
            metavar="TURNS",
            help="Only these turns: 9, 290-295, 290- or 3,7; -1 is the last one. Ids work, too.",
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Show only the last N turns.")
    ] = None,
    outline: Annotated[
        bool, typer.Option("--outline", help="List the turns: number, time and prompt.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show long texts in full.")] = False,
    meta: Annotated[
        bool,
        typer.Option("--meta", help="Show metadata instead: settings, lineage, files."),
    ] = False,
    pager: PagerOption = True,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show the turns of a thread: messages, commands, patches."""
    if turn is not None and last is not None:
        raise typer.BadParameter("--turn and --last cannot be combined")
    here = locations(context)
    if meta:
        if turn is not None or last is not None or outline or full:
            raise typer.BadParameter(
                "--meta cannot be combined with --turn, --last, --outline or --full"
            )
        return _show_metadata(here, thread, as_json=as_json)
    if outline and full:
        raise typer.BadParameter("--outline and --full cannot be combined")
    from cli.render.turn_selection import TurnSelection

    with without_expansion_limit(force):
        selection = TurnSelection(turn, last)
        if outline:
            return _outline(here, thread, selection, pager=pager, as_json=as_json)
        return _show(here, thread, selection, full=full, pager=pager, as_json=as_json)


def _show(
    here: Locations,
    reference: str,
    selection: "TurnSelection",
    *,
    full: bool,
    pager: bool,
    as_json: bool,
) -> int:
    from cli.render.json_document import document
    from cli.render.labels import marks_json
    from cli.render.text import written
    from cli.terminal.pager import sink

    with _opened(here, reference, selection) as reading:
        if as_json:
            pieces = document(reading, **marks_json(reading.details["marks"]))
        else:
            width = output.width() if output.on_terminal() else None
            pieces = written(reading, full=full, width=width)
        with sink(paged=pager and not as_json) as put:
            for piece in pieces:
                put(piece)
        damage.report(reading.dialogue.damage, here.home, reading.row["id"])
    return errors.OK


def _opened(here: Locations, reference: str, selection: "TurnSelection") -> "Reading":
    from cli.render.reading import open_reading, read_at_once
    from cli.runtime.in_step import in_step

    quick = partial(read_at_once, here.home, reference, selection)
    if not READ_ALL.get() and (reading := in_step(here, quick)):
        return reading
    from cli.runtime.open_index import find_thread, read_index
    from state.turns.cache import TurnIndex

    async def work(index: "ThreadIndex") -> "Reading":
        row = await find_thread(index, reference)
        index.database.stop_waiting()  # what is found is kept only if that needs no waiting
        turns = TurnIndex(index)
        try:
            kept = None if READ_ALL.get() else turns  # kept turns end where the limit is
            return await open_reading(index, row, selection, turns=kept)
        finally:
            await turns.close()

    return read_index(here, work)


def _outline(
    here: Locations, reference: str, selection: "TurnSelection", *, pager: bool, as_json: bool
) -> int:
    from cli.render.outline import document, lines
    from cli.terminal.pager import sink

    with _opened(here, reference, selection) as reading:
        if as_json:
            output.data(document(reading))
        else:
            with sink(paged=pager) as put:
                for line in lines(reading):
                    put(f"{line}\n")
        damage.report(reading.dialogue.damage, here.home, reading.row["id"])
    return errors.OK


def _show_metadata(here: Locations, reference: str, *, as_json: bool) -> int:
    from cli.render.labels import marks_json, usage_json
    from cli.render.metadata import fields
    from cli.runtime.open_index import find_thread, read_index
    from state.errors import InvalidPrices
    from state.prices.spending import NOTHING, Spending, spending, spending_without_prices
    from state.query.thread_json import thread_json

    async def work(index: "ThreadIndex") -> "tuple[Row, dict[str, Any], Spending]":
        row = await find_thread(index, reference)
        try:
            spent = await spending(index.database, [row["id"]])
        except InvalidPrices as problem:
            output.say(f"Costs are missing: {problem} (threadkeep help cost).")
            spent = await spending_without_prices(index.database, [row["id"]])
        return row, await index.details(row["id"]), spent.get(row["id"], NOTHING)

    row, details, spent = read_index(here, work)
    if as_json:
        output.data(
            {
                "thread": thread_json(row, here.home) | marks_json(details["marks"]),
                "movedTo": details["moved_to"],
                "usage": usage_json(spent),
            }
        )
    else:
        width = output.width() if output.on_terminal() else None
        shown = fields(row, details, spent)
        lines = ((name, one_line(value)) for name, value in shown if value)
        output.lines(labelled(lines, 12, width))
    return errors.OK
