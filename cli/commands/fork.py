"""``threadkeep fork``."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.filters import Selection, takes_selection
from cli.arguments.options import locations
from cli.terminal import output
from rollout.schema.modes import MODES

if TYPE_CHECKING:
    from cli.edit.batch import AppliedChange
    from state.thread_index import ThreadIndex


@takes_selection
def command(
    context: typer.Context,
    through_turn: Annotated[
        str | None,
        typer.Option(metavar="TURN", help="The last turn of the fork: its number or id."),
    ] = None,
    before_turn: Annotated[
        str | None,
        typer.Option(metavar="TURN", help="The first turn to leave out: its number or id."),
    ] = None,
    *,
    selection: Selection,
) -> int:
    """Create a thread that starts as a copy of another, and print its id."""
    from cli.edit import batch
    from state.edit.fork import fork_thread
    from state.edit.refresh import refresh_names

    if through_turn is not None and before_turn is not None:
        raise typer.BadParameter("--through-turn and --before-turn cannot be combined")
    single = len(selection.references) == 1 and "-" not in selection.references
    if not (through_turn is None and before_turn is None) and not single:
        raise typer.BadParameter("a turn belongs to one thread: name that thread alone")
    home = locations(context).home

    async def change(index: "ThreadIndex", id_: str, _: str) -> "AppliedChange":
        fork = await fork_thread(
            index,
            id_,
            last_turn=await _turn_id(index, id_, through_turn),
            before_turn=await _turn_id(index, id_, before_turn),
            dry_run=selection.dry_run,
            refresh=False,
        )
        if selection.dry_run:
            fields = {"forkId": None, "path": None, "name": fork.name}
            return batch.AppliedChange(fields, f"{id_}\twould be forked")
        if not selection.as_json:
            output.say(f"Forked from {id_}. Continue with: codex resume {fork.thread_id}")
        fields = {"forkId": fork.thread_id, "path": str(home / fork.path), "name": fork.name}
        return batch.AppliedChange(fields, fork.thread_id, fork.indexed)

    return batch.run(locations(context), "fork", selection, change, after=refresh_names)


async def _turn_id(index: "ThreadIndex", thread_id: str, turn: str | None) -> str | None:
    """The id of the turn that ``show`` shows for ``turn``."""
    from cli.render.reading import open_reading
    from cli.render.turn_selection import TurnSelection

    if turn is None:
        return None
    row = await index.thread(thread_id)
    if row["archived"] or row["history_mode"] not in MODES:
        return turn  # it cannot be forked
    with await open_reading(index, row, TurnSelection(turn)) as reading:
        if len(reading.numbers) > 1:
            raise typer.BadParameter(f"a fork ends at one turn, not at {turn}")
        return reading.dialogue.turns[reading.numbers[0]].id
