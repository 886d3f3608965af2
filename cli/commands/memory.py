"""``threadkeep memory``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.filters import Filters, Selection, takes_filters
from cli.arguments.options import DryRunOption, JsonOption, YesOption, locations

if TYPE_CHECKING:
    from cli.edit.batch import AppliedChange
    from state.thread_index import ThreadIndex


@takes_filters
def command(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[THREAD]... MODE",
            help="Threads as for show (- reads ids from stdin), then enabled or disabled.",
            show_default=False,
        ),
    ],
    *,
    filters: Filters,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> int:
    """Set whether Codex may make memories of threads."""
    from cli.edit import batch
    from state.edit.metadata import MEMORY_MODES, Changed, set_memory_modes

    *threads, mode = words
    if mode not in MEMORY_MODES:
        raise typer.BadParameter(
            f"the last word is not a mode\ngive one of {', '.join(MEMORY_MODES)}"
        )
    sqlite_home = locations(context).sqlite_home

    async def change(
        index: "ThreadIndex", ids: Sequence[str]
    ) -> "dict[str, AppliedChange | batch.Error]":
        results = await set_memory_modes(index, ids, mode, sqlite_home, dry_run=dry_run)
        return {
            id_: applied(result) if isinstance(result, Changed) else result
            for id_, result in results.items()
        }

    def applied(changed: Changed) -> "AppliedChange":
        line = f"{changed.thread_id}\t{'would be ' if dry_run else ''}{mode}"
        return batch.AppliedChange({"memoryMode": mode}, line, changed.indexed, changed.codex_error)

    selection = Selection(
        threads=threads, filters=filters, dry_run=dry_run, yes=yes, as_json=as_json
    )
    return batch.run(locations(context), "memory", selection, batch.Together(change))
