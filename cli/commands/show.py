"""``threadkeep show``."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from cli import errors
from cli.arguments.fleet import FleetOptions, takes_fleet_alone
from cli.arguments.locations import Locations
from cli.arguments.options import ForceOption, JsonOption, PagerOption, ThreadArgument
from cli.terminal import damage, output
from cli.terminal.cells import labelled
from cli.terminal.text import iso, one_line
from rollout.errors import READ_ALL, without_expansion_limit
from state.errors import ContentNotPushed

if TYPE_CHECKING:
    from cli.render.reading import Reading
    from cli.render.turn_selection import TurnSelection
    from cli.runtime.cached import FleetThread
    from state.db.steps import Steps
    from state.query.oneshot import IndexReader
    from state.query.rows import Row
    from state.query.tree import ForkTurn, Most, Tree
    from state.thread_index import ThreadIndex

_JSON_LEVELS: Final = 100
"""No parser of JSON has to go deeper."""


@takes_fleet_alone
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
        bool, typer.Option("--outline", help="List the turns: prompt, files, failures, tokens.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show long texts in full.")] = False,
    tree: Annotated[
        bool,
        typer.Option("--tree", help="Show its forks, side threads and subagents instead."),
    ] = False,
    meta: Annotated[
        bool,
        typer.Option("--meta", help="Show metadata instead: settings, lineage, files."),
    ] = False,
    pager: PagerOption = True,
    *,
    fleet: FleetOptions,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show the turns of a thread: messages, commands, patches."""
    if turn is not None and last is not None:
        raise typer.BadParameter("--turn and --last cannot be combined")
    here = fleet.locations(context)
    if tree:
        if turn is not None or last is not None or outline or full or meta:
            raise typer.BadParameter("--tree cannot be combined with options of turns or --meta")
        return _show_tree(here, thread, pager=pager, as_json=as_json)
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
        there: FleetThread | None = None
        if here.fleet is not None:
            from cli.runtime.cached import bring, say_passed_over

            try:
                there = bring(here, thread)
            except ContentNotPushed as error:
                if as_json:
                    raise
                _show_metadata(here, thread, as_json=False)
                output.say(f"{one_line(str(error))}: {errors.outcome(error).hint}.")
                return errors.OK
            if as_json or outline:  # else it is said above the turns
                say_passed_over(there.row)
        wanted = _Wanted(there.here if there else here, thread, selection, there)
        if outline:
            return _outline(wanted, pager=pager, as_json=as_json)
        return _show(wanted, full=full, pager=pager, as_json=as_json)


class _Wanted(NamedTuple):
    """What is to be shown, and where it is."""

    here: Locations
    reference: str
    selection: "TurnSelection"
    there: "FleetThread | None" = None
    """The thread of a fleet that it is."""


def _show(wanted: _Wanted, *, full: bool, pager: bool, as_json: bool) -> int:
    from cli.render.json_document import document
    from cli.render.labels import marks_json
    from cli.render.text import written
    from cli.terminal.pager import sink

    with _opened(wanted) as reading:
        if as_json:
            pieces = document(reading, **marks_json(reading.details["marks"]))
        else:
            width = output.width() if output.on_terminal() else None
            pieces = written(reading, full=full, width=width)
        with sink(paged=pager and not as_json) as put:
            for piece in pieces:
                put(piece)
        damage.report(reading.dialogue.damage, reading.home, reading.row["id"])
    return errors.OK


def _opened(wanted: _Wanted, *, outlined: bool = False) -> "Reading":
    here, reference, selection, there = wanted
    if there is not None:
        reference = there.row["id"]
    reading = _opened_here(here, reference, selection, outlined=outlined)
    return reading if there is None else there.named(reading)


def _opened_here(
    here: Locations, reference: str, selection: "TurnSelection", *, outlined: bool
) -> "Reading":
    from cli.render.reading import open_reading, read_at_once
    from cli.runtime.in_step import in_step

    quick = partial(read_at_once, here.home, reference, selection, outlined=outlined)
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
            return await open_reading(index, row, selection, turns=kept, outlined=outlined)
        finally:
            await turns.close()

    return read_index(here, work)


def _outline(wanted: _Wanted, *, pager: bool, as_json: bool) -> int:
    from cli.render.outline import document, lines
    from cli.terminal.pager import sink

    with _opened(wanted, outlined=True) as reading:
        if as_json:
            output.data(document(reading))
        else:
            with sink(paged=pager) as put:
                for line in lines(reading):
                    put(f"{line}\n")
        damage.report(reading.dialogue.damage, reading.home, reading.row["id"])
    return errors.OK


def _show_metadata(here: Locations, reference: str, *, as_json: bool) -> int:
    from cli.render.labels import marks_json, usage_json
    from cli.render.metadata import fields
    from cli.runtime.open_index import find_thread, read_index
    from state.errors import InvalidPrices
    from state.prices.spending import NOTHING, Spending, spending_without_prices
    from state.query.thread_json import thread_json

    async def work(index: "ThreadIndex") -> "tuple[Row, dict[str, Any], Spending]":
        row = await find_thread(index, reference)
        try:
            spent = await index.spending([row["id"]])
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


class _Drawn(NamedTuple):
    """A tree, and the thread that it was asked for."""

    tree: "Tree"
    row: "Row"
    short_ids: dict[str, str]


def _show_tree(here: Locations, reference: str, *, pager: bool, as_json: bool) -> int:
    from cli.render.threads import tree_lines, tree_table
    from cli.runtime.in_step import in_step
    from cli.runtime.open_index import catch_up_and_report, read_index
    from cli.terminal.pager import sink
    from state.query.tree import EVERYTHING, Most
    from state.turns.fork_turn import fork_turn

    terminal = output.on_terminal() and not as_json
    # Where lines are cut, those of deep levels would only show branches.
    most = Most(levels=max(output.width() // 8, 4)) if terminal else EVERYTHING
    most = EVERYTHING._replace(levels=_JSON_LEVELS) if as_json else most

    def quick(reader: "IndexReader") -> _Drawn | None:
        def turn(path: str, end: int) -> int | None:
            return fork_turn(here.home / path, end, here.home, reader.read)

        row = reader.thread(reference)
        if row is None:
            return None
        return reader.read(_tree_steps(row, most, terminal, turn))

    async def work(index: "ThreadIndex") -> _Drawn:
        await catch_up_and_report(index)
        row = await index.thread(reference)
        return await index.database.query(_tree_steps(row, most, terminal))

    drawn = in_step(here, quick)
    if drawn is None:
        drawn = read_index(here, work)
        drawn = in_step(here, quick, scan=False) or drawn  # which knows where forks began
    tree, row, short_ids = drawn
    if as_json:
        output.data(_tree_document(drawn, here))
    elif not terminal:
        output.lines(_tree_texts(tree))
    else:
        with sink(paged=pager) as put:
            for line in tree_table(tree, row["id"], short_ids):
                put(f"{line}\n")
        above = tree.row and (tree.row["parent_thread_id"] or tree.row["forked_from_id"])
        if tree.kind and above:
            output.say(f"It begins further up: threadkeep show {above} --tree")
        if more := sum(line.tree.more for line in tree_lines(tree) if line.more):
            short = short_ids.get(row["id"], row["id"])
            output.say(f"Not shown: {more:,} more. See all: threadkeep show {short} --tree | less")
    return errors.OK


def _tree_steps(
    row: "Row", most: "Most", wants_ids: bool, fork_turn: "ForkTurn | None" = None
) -> "Steps[_Drawn]":
    from cli.render.threads import tree_lines
    from state.query.listing import short_id_steps
    from state.query.tree import tree_steps

    tree = yield from tree_steps(row["id"], most, fork_turn)
    ids = [line.tree.thread_id for line in tree_lines(tree)] if wants_ids else []
    return _Drawn(tree, row, (yield from short_id_steps(ids)))


def _tree_texts(tree: "Tree") -> Iterator[str]:
    """For pipes: whole values, tab-separated, one thread a line."""
    from cli.render.labels import label
    from cli.render.threads import agent, tree_lines

    for line in tree_lines(tree):
        id_, row, kind, turn, *_ = line.tree
        values = (id_, str(line.level), kind, "" if turn is None else str(turn), agent(line.tree))
        archived = "archived" if row and row["archived"] else ""
        shown = (iso(row["recency_at_ms"]), label(row)) if row else ("", "")
        yield "\t".join(map(one_line, (*values, archived, *shown)))


def _tree_document(drawn: _Drawn, here: Locations) -> dict[str, Any]:
    from state.query.thread_json import thread_json

    made: dict[str, dict[str, Any]] = {}
    top = drawn.tree
    every = [top]
    for each in every:
        every += each.children
    for tree in reversed(every):  # those below a thread come after it
        made[tree.thread_id] = {
            "id": tree.thread_id,
            "kind": tree.kind or None,
            "turn": tree.turn,
            "thread": tree.row and thread_json(tree.row, here.home),
            "children": [made.pop(child.thread_id) for child in tree.children],
            "more": tree.more,
        }
    above = top.row and (top.row["parent_thread_id"] or top.row["forked_from_id"])
    return {
        "version": 1,
        "id": drawn.row["id"],
        "above": above if top.kind else None,
        "tree": made[top.thread_id],
    }
