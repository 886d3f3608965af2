"""``threadkeep show``: a thread for reading, or what is known of it."""

from typing import TYPE_CHECKING, Any

from cli import errors
from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up_and_report, read_index
from cli.terminal import damage, output
from cli.terminal.text import one_line
from rollout.errors import READ_ALL
from state.query.rows import Row
from state.query.thread_json import thread_json
from state.thread_index import ThreadIndex

if TYPE_CHECKING:
    from cli.render.reading import Reading, TurnSelection


def run(
    locations: Locations,
    reference: str,
    wanted: "TurnSelection",
    *,
    full: bool,
    paged: bool,
    as_json: bool,
) -> int:
    """Show one thread for reading. Gives the exit status."""
    from cli.render.json_document import document
    from cli.render.reading import opened
    from cli.render.text import written
    from cli.terminal.pager import sink
    from state.turns.cache import TurnIndex

    async def work(index: ThreadIndex) -> "Reading":
        await catch_up_and_report(index)
        row = await index.thread(reference)
        index.database.stop_waiting()  # what is found is shown, and kept if that can be at once
        turns = TurnIndex(index)
        try:
            kept = None if READ_ALL.get() else turns  # what is kept of it ends earlier
            return await opened(index, row, wanted, turns=kept)
        finally:
            await turns.close()

    with read_index(locations, work) as reading:
        if as_json:
            pieces = document(reading)
        else:
            width = output.width() if output.on_terminal() else None
            pieces = written(reading, full=full, width=width)
        with sink(paged=paged and not as_json) as put:
            for piece in pieces:
                put(piece)
        damage.tell(reading.dialogue.damage, locations.home, reading.row["id"])
    return errors.OK


def run_meta(locations: Locations, reference: str, *, as_json: bool) -> int:
    """Show what is known of one thread. Gives the exit status."""
    from cli.render.metadata import fields

    async def work(index: ThreadIndex) -> tuple[Row, dict[str, Any]]:
        await catch_up_and_report(index)
        row = await index.thread(reference)
        return row, await index.details(row["id"])

    row, details = read_index(locations, work)
    if as_json:
        output.data({"thread": thread_json(row, locations.home), "movedTo": details["moved_to"]})
    else:
        for name, value in fields(row, details):
            if value:
                output.line(f"{name:<12} {one_line(value)}")
    return errors.OK
