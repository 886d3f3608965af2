"""``threadkeep trash``: what delete has moved there."""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.command import Command, Group
from cli.arguments.options import DryRunOption, JsonOption, YesOption, locations
from cli.arguments.values import age_of
from cli.terminal import output
from cli.terminal.text import amount, iso, one_line, plural

if TYPE_CHECKING:
    from cli.edit.move_report import MoveResult
    from rollout.files.move import MoveGroup
    from rollout.files.trash import TrashedThread, TrashFolder
    from state.thread_index import ThreadIndex

_BELOW: Final = 5
"""Lines of a terminal for the head of a list and what is said below it, besides the deletes."""
_SHOWN_DELETES: Final = 3
_SHORTEST_ID: Final = 8

command = typer.Typer(
    name="trash",
    cls=Group,
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
)
AllOption = Annotated[
    bool, typer.Option("-a", "--all", help="Show all threads, however many there are.")
]


@command.callback()
def trash(
    context: typer.Context, everything: AllOption = False, as_json: JsonOption = False
) -> None:
    """List the trash, put threads back, or empty it."""
    if context.invoked_subcommand is None:
        raise typer.Exit(_list(context, everything=everything, as_json=as_json))
    if everything or as_json:
        raise typer.BadParameter("put the options after list, restore or empty")


@command.command("list", cls=Command)
def list_(
    context: typer.Context, everything: AllOption = False, as_json: JsonOption = False
) -> int:
    """List the threads in the trash, what was deleted last first."""
    return _list(context, everything=everything, as_json=as_json)


@command.command(cls=Command)
def restore(
    context: typer.Context,
    threads: Annotated[
        list[str],
        typer.Argument(
            metavar="THREAD|DELETE-ID...",
            help="Threads in the trash, by id, prefix of an id or title, or all of a delete by its"
            " id; - reads them from stdin.",
            show_default=False,
        ),
    ],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> int:
    """Put threads back where they were, with the threads they spawned."""
    from cli.edit import batch
    from cli.edit.move_report import MoveResult, Words, report
    from cli.runtime.open_index import with_index
    from cli.terminal.progress import progress
    from state.edit.trash import groups_of, restore_threads, trash_of

    references = batch.named(threads)
    found = locations(context)

    async def work(index: "ThreadIndex") -> MoveResult:
        folders = await trash_of(index)
        result = MoveResult()
        chosen = _chosen(folders, references, result)
        groups = [*groups_of(folders, chosen)]
        _describe(folders, groups, result)
        try:
            with progress("restore", "threads") as shown:
                await restore_threads(
                    index,
                    groups,
                    found.sqlite_home,
                    dry_run=dry_run,
                    report=shown,
                    outcomes=result.outcomes,
                )
        except asyncio.CancelledError:
            result.interrupted = True  # what was done by then is reported
        result.short_ids = await index.short_ids([row["id"] for row in result.rows])
        return result

    words = Words("restore", "restored", "", "Restored from the trash", quiet=False)
    return report(words, with_index(found, work), as_json=as_json, dry_run=dry_run)


@command.command(cls=Command)
def empty(
    context: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Only what was deleted longer ago than this: 12h, 30d, 2w, 1y."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> int:
    """Remove what is in the trash permanently."""
    from cli.arguments.filters import Selection
    from cli.edit.batch import needs_confirmation
    from cli.runtime.open_index import with_index
    from state.edit.trash import empty_trash, trash_of
    from state.sync.emptying import Emptied

    age_s = None if older_than is None else age_of("--older-than", older_than)
    asks = needs_confirmation(Selection(dry_run=dry_run, yes=yes, as_json=as_json))
    found = locations(context)

    async def work(index: "ThreadIndex") -> "Emptied":
        before_ms = None if age_s is None else int((time.time() - age_s) * 1000)
        folders = [
            folder
            for folder in await trash_of(index)
            if before_ms is None or folder.deleted_at_ms < before_ms
        ]
        if (
            asks
            and folders
            and not typer.confirm(f"Remove permanently: {_sum(folders)}?", err=True)
        ):
            return Emptied()
        if not folders or dry_run:
            return Emptied(folders)
        delete_ids = [folder.delete_id for folder in folders]
        del folders  # their threads are read again
        return await empty_trash(index, delete_ids, found.sqlite_home)

    emptied = with_index(found, work)
    folders, problems = emptied.removed, emptied.problems
    if as_json:
        output.data(
            {
                "version": 1,
                "action": "empty",
                "dryRun": dry_run,
                **_totals(folders),
                "deletes": [_folder_json(folder) for folder in folders],
                "problems": problems,
            },
            changed=bool(folders) and not dry_run,
        )
    elif folders and dry_run:
        output.say(f"Would be removed permanently: {_sum(folders)}. Nothing was changed.")
    elif folders:
        output.say(f"Removed permanently: {_sum(folders)} freed.")
    elif not problems:
        output.say("Nothing was removed." if asks else "There is nothing to remove.")
    for problem in problems:
        output.say(
            f"threadkeep: {one_line(problem)}\n  make it writable, then empty the trash again"
        )
    return errors.DAMAGED if problems else errors.OK if folders else errors.NO_MATCH


def _list(context: typer.Context, *, everything: bool, as_json: bool) -> int:
    from cli.runtime.open_index import read_index
    from state.edit.trash import trash_of

    folders = read_index(locations(context), trash_of)
    if as_json:
        deletes = [_folder_json(folder, files=True) for folder in folders]
        output.data({"version": 1, **_totals(folders), "deletes": deletes})
    elif output.on_terminal():
        taken = _BELOW + min(len(folders), _SHOWN_DELETES + 1)
        most = None if everything else max(output.height() - taken, 1)
        output.lines(_table(folders, most))
    else:
        output.lines(_piped(folders))
    if not folders:
        output.say("The trash is empty.")
        return errors.NO_MATCH
    if output.on_terminal() and not as_json:
        for each in folders[:_SHOWN_DELETES]:
            output.say(f"{one_line(each.delete_id)}: {_sum([each])}")
        if more := folders[_SHOWN_DELETES:]:
            output.say(f"and {plural(len(more), 'delete')} more: {_sum(more)}")
        output.say("To put something back: threadkeep trash restore ID")
        size = sum(folder.bytes for folder in folders)
        output.say(f"To free {amount(size)}B: threadkeep trash empty")
    return errors.OK


def _chosen(
    folders: "Sequence[TrashFolder]", references: Sequence[str], result: "MoveResult"
) -> "list[TrashedThread]":
    """The threads that are named; what is not found is noted."""
    from cli.edit.batch import Entry
    from state.edit.trash import chosen
    from state.errors import StateError

    found: list[TrashedThread] = []
    for reference in dict.fromkeys(references):
        try:
            found += chosen(folders, reference)
        except StateError as error:
            result.not_found.append(Entry(reference, error=error))
    return found


def _describe(
    folders: "Sequence[TrashFolder]", groups: "Sequence[MoveGroup]", result: "MoveResult"
) -> None:
    from cli.edit.move_report import shown_count, trashed_row

    known = {thread.thread_id: thread for folder in folders for thread in folder.threads}
    ids = [id_ for group in groups for id_ in group.thread_ids]
    for id_ in ids[: shown_count()]:
        record = known[id_].record
        result.rows.append(
            trashed_row(id_, record.title, record.cwd, record.recency_at_ms, known[id_].bytes)
        )
    result.titles = {id_: known[id_].record.title for id_ in ids}


def _table(folders: "Sequence[TrashFolder]", most: int | None) -> Iterator[str]:
    from cli.edit.move_report import discreet
    from cli.render.labels import folder
    from cli.terminal.cells import cut_folder, settled
    from cli.terminal.table import Cell, Column, table
    from cli.terminal.text import age

    columns = (
        Column("deleted", worth=9),
        Column("thread", grows=True),
        Column("folder", 10, 26, worth=5, drops_same=True, cut=cut_folder),
        Column("size", worth=6, right=True),
        Column("id", worth=8),
    )
    home, now_ms = os.path.expanduser("~"), time.time_ns() // 1_000_000
    pairs = [(each, thread) for each in folders for thread in each.threads]
    short = _short_ids(thread.thread_id for _, thread in pairs)
    rows = [
        (
            Cell(age(each.deleted_at_ms, now_ms)),
            Cell(settled(discreet(thread.record.title) or "(no title)")),
            Cell(folder(thread.record.cwd, home)),
            Cell(f"{amount(thread.bytes)}B"),
            Cell(short[thread.thread_id], "cyan"),
        )
        for each, thread in pairs[:most]
    ]
    if rows:
        yield from table(columns, rows)
    if most is not None and len(pairs) > most:
        yield f"and {len(pairs) - most:,} more; --all shows them"


def _short_ids(ids: Iterable[str]) -> dict[str, str]:
    """The shortest prefix of each id that no other one has."""
    known = sorted(set(ids))
    found = {}
    for place, id_ in enumerate(known):
        neighbours = known[max(place - 1, 0) : place] + known[place + 1 : place + 2]
        length = _SHORTEST_ID
        while any(other.startswith(id_[:length]) for other in neighbours):
            length += 1
        found[id_] = id_[:length]
    return found


def _piped(folders: "Sequence[TrashFolder]") -> Iterator[str]:
    for folder in folders:
        for thread in folder.threads:
            values = (
                thread.thread_id,
                one_line(folder.delete_id),
                iso(folder.deleted_at_ms),
                str(thread.bytes),
                "archived" if thread.archived else "active",
                one_line(thread.record.title),
            )
            yield "\t".join(values)


def _sum(folders: "Sequence[TrashFolder]") -> str:
    threads = plural(sum(len(folder.threads) for folder in folders), "thread")
    return f"{threads}, {amount(sum(folder.bytes for folder in folders))}B"


def _totals(folders: "Sequence[TrashFolder]") -> dict[str, Any]:
    return {
        "threads": sum(len(folder.threads) for folder in folders),
        "bytes": sum(folder.bytes for folder in folders),
    }


def _folder_json(folder: "TrashFolder", *, files: bool = False) -> dict[str, Any]:
    value = {
        "id": folder.delete_id,
        "path": folder.path,
        "deletedAt": iso(folder.deleted_at_ms),
        "bytes": folder.bytes,
    }
    if not files:
        return {**value, "threads": len(folder.threads)}
    return {**value, "threads": [_thread_json(thread) for thread in folder.threads]}


def _thread_json(thread: "TrashedThread") -> dict[str, Any]:
    record = thread.record
    return {
        "id": thread.thread_id,
        "title": record.title or None,
        "cwd": record.cwd or None,
        "archived": thread.archived,
        "createdAt": iso(record.created_at_ms or None) or None,
        "recencyAt": iso(record.recency_at_ms or None) or None,
        "parentId": record.parent_id,
        "bytes": thread.bytes,
        "files": [*thread.files],
    }
