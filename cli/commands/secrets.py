"""``threadkeep secrets``."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import typer

from cli import errors
from cli.arguments.filters import Filters, selected, takes_filters
from cli.arguments.locations import Locations
from cli.arguments.options import AnyThreadsArgument, ArchivedOption, JsonOption, locations
from cli.terminal import damage, output
from cli.terminal.cells import cut_folder, settled
from cli.terminal.hidden import footer, no_threads, not_shown
from cli.terminal.progress import progress
from cli.terminal.table import Cell, Column, table
from cli.terminal.text import one_line, plural, shortened
from rollout.errors import Damage

if TYPE_CHECKING:
    from cli.edit.batch import Entry
    from cli.redact.remover import SecretRemover
    from cli.redact.scan import Place, Scanned
    from state.query.model import Hidden, Query
    from state.reports.rollouts import RolloutFile
    from state.thread_index import ThreadIndex

_EFFORT: Final = 4
"""What a search costs, of what parsing alone would."""
_LONGEST_TITLE: Final = 120
_CAPITAL: Final = re.compile("(?<=[a-z])([A-Z])")
_COLUMNS: Final = (
    Column("thread", grows=True),
    Column("turn", worth=9, right=True),
    Column("secret", 12, 24, worth=7),
    Column("length", worth=4, right=True),
    Column("where", 8, 22, worth=5, drops_same=True),
    Column("times", worth=3, right=True, drops_same=True),
    Column("id", worth=8),
    Column("byte", worth=6, right=True),
    Column("file", 24, worth=1, cut=cut_folder),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A secret and the thread that it is in."""

    thread_id: str
    """Empty if there is none."""
    title: str
    """Without secrets."""
    path: str
    place: "Place"


@dataclass(slots=True)
class _Result:
    """What was found so far."""

    files: int = 0
    """All that are to be searched."""
    done: int = 0
    secrets: list[_Found] = field(default_factory=list)
    """Not in a pipe, which has had them."""
    counts: Counter[str] = field(default_factory=Counter)
    """By kind."""
    threads: set[str] = field(default_factory=set)
    """Threads with secrets, or files without a thread."""
    left_out: int = 0
    unseen: int = 0
    damage: list[Damage] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    failed: "list[Entry]" = field(default_factory=list)
    note: str = ""
    hidden: "Hidden | None" = None
    short_ids: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether all was searched."""
        bad = self.damage or self.problems or self.failed or self.note
        return not (bad or self.interrupted)


@takes_filters
def command(
    context: typer.Context,
    threads: AnyThreadsArgument = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    as_json: JsonOption = False,
) -> int:
    """List the secrets that export --redact would take out: where they are, never what they are.
    All threads are searched, or those that are chosen. E-mail addresses, home folders and user
    names are no secrets. The exit status is 1 if there are any."""
    from cli.edit import batch
    from cli.redact.remover import SecretRemover
    from cli.runtime.open_index import read_index

    query = _query(filters, threads or [], archived=archived)
    named = [*dict.fromkeys(batch.named(threads))] if threads else None
    cleaner = SecretRemover()
    here = locations(context)
    result = _Result()
    try:
        read_index(here, partial(_search, result, named, query, cleaner, as_json=as_json))
    except KeyboardInterrupt:
        if not (result.files or as_json):  # only indexing was interrupted, which says how far it is
            raise
        result.interrupted = True
    _print(result, here, as_json=as_json)
    if result.interrupted:
        return errors.INTERRUPTED
    if not result.complete:
        return errors.SOME_UNREADABLE
    return errors.FINDINGS if result.counts else errors.OK


def _query(filters: Filters, references: Sequence[str], *, archived: bool) -> "Query | None":
    """What chooses the threads; None if they are named, or if all are meant."""
    from state.query.model import LARGEST_PAGE

    if not references and filters == Filters():
        every = filters._replace(all_sources=True)
        return every.query(archived=True, limit=LARGEST_PAGE) if archived else None
    return selected(filters, references, archived=archived)


async def _search(
    result: _Result,
    named: Sequence[str] | None,
    query: "Query | None",
    cleaner: "SecretRemover",
    index: "ThreadIndex",
    *,
    as_json: bool,
) -> None:
    from cli.edit import batch
    from cli.redact.scan import Rollout, numbered, scan_rollouts
    from cli.runtime.open_index import catch_up
    from state.jobs.pool import read_files
    from state.reports.rollouts import rollout_files
    from state.rollout_locator import rollout_locator

    result.note = await catch_up(index, "not all threads are searched")
    ids = None
    if named is not None or query:
        entries = await batch.find(index, named or (), query)
        result.failed = [entry for entry in entries if entry.error]
        if named and len(named) == len(result.failed) == 1 and (error := result.failed[0].error):
            raise error
        ids = {entry.thread_id for entry in entries if entry.thread_id}
        result.hidden = (await index.count(query)).hidden if query else None
    files = await rollout_files(index, ids)
    result.files = len(files)
    items = [(Rollout(file.path, file.thread_path), file.size_bytes) for file in files]
    streams = not (as_json or output.on_terminal())
    waiting = iter(zip(files, items, strict=True))
    with progress("searching") as report:
        reading = read_files(
            index.home, scan_rollouts, items, effort=_EFFORT, batch=20, report=report
        )
        async with aclosing(reading):
            async for scanned in reading:
                file, (rollout, _) = next(waiting)
                if scanned.elsewhere:
                    number = partial(numbered, index.home, rollout, scanned, rollout_locator(index))
                    scanned = await index.database.workers.run(number)
                found = await _add(result, index, file, scanned, cleaner)
                if streams:
                    output.lines(map(_line, found))
                else:
                    result.secrets += found
    if output.on_terminal() and not as_json:
        result.short_ids = await index.short_ids([found.thread_id for found in result.secrets])


async def _add(
    result: _Result,
    index: "ThreadIndex",
    file: "RolloutFile",
    scanned: "Scanned",
    cleaner: "SecretRemover",
) -> list[_Found]:
    """Count what was found in a file."""
    from cli.render.labels import label

    result.done += 1
    result.unseen += scanned.unseen
    result.damage += scanned.damage
    if scanned.problem:
        result.problems[file.path] = scanned.problem
    if not scanned.places:
        return []
    result.left_out += scanned.left_out
    result.threads.add(file.thread_id or file.path)
    result.counts.update(place.kind for place in scanned.places)
    id_ = file.thread_id or ""
    row = (await index.rows_of([id_])).get(id_)
    title = shortened(one_line(cleaner.text(label(row))), _LONGEST_TITLE) if row else ""
    return [_Found(id_, title, file.path, place) for place in scanned.places]


def _line(found: _Found) -> str:
    """For pipes: tab-separated."""
    place = found.place
    values = (
        found.thread_id,
        "" if place.turn is None else str(place.turn),
        place.kind,
        str(place.length),
        str(place.times),
        place.item,
        found.path,
        str(place.offset),
        found.title,
    )
    return "\t".join(map(one_line, values))


def _print(result: _Result, here: Locations, *, as_json: bool) -> None:
    if as_json:
        output.data(_document(result, here))
        return
    from cli.render.problem import problem

    terminal = output.on_terminal()
    width = output.width() if terminal else None
    if result.secrets:
        output.lines(_table(result))
    notes = [
        *(problem(entry.error) for entry in result.failed if entry.error),
        *(one_line(f"{path} {why}") for path, why in result.problems.items()),
        *damage.sentences(result.damage, here.home, "was searched"),
        result.note,
        *_summary(result, here),
        not_shown(result.hidden).replace("Not shown:", "Not searched:") if result.hidden else "",
    ]
    for text in footer(notes, width):
        output.say(text)


def _table(result: _Result) -> Iterator[str]:
    rows = []
    for found in result.secrets:
        place = found.place
        item = _CAPITAL.sub(r" \1", place.item.rsplit("/", 1)[-1]).replace("_", " ").lower()
        rows.append(
            [
                Cell(settled(found.title)),
                Cell("" if place.turn is None else str(place.turn), "bold"),
                Cell(place.kind, "yellow"),
                Cell(f"{place.length:,}"),
                Cell(settled(item), "dim"),
                Cell(f"{place.times:,}"),
                Cell(result.short_ids.get(found.thread_id, found.thread_id), "cyan"),
                Cell(f"{place.offset:,}"),
                Cell(settled(found.path), "dim"),
            ]
        )
    return table(_COLUMNS, rows)


def _summary(result: _Result, here: Locations) -> Iterator[str]:
    count = result.counts.total()
    searched = plural(result.done, "file")
    if result.interrupted:
        yield f"Interrupted: {result.done:,} of {plural(result.files, 'file')} searched."
    elif not result.files:
        yield no_threads(here.home, empty=True, complete=not result.note)
        return
    if not count:
        yield f"No secrets found in {searched}. No search finds everything."
    else:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in result.counts.most_common())
        threads = plural(len(result.threads), "thread")
        yield f"{plural(count, 'secret')} in {threads} of {searched}: {kinds}."
        yield (
            "Revoke what is still valid. threadkeep show ID --turn N shows the turn;"
            " threadkeep export ID --redact leaves secrets out."
        )
    if result.left_out:
        yield f"Not listed: {result.left_out:,} more of files that have very many."
    if result.unseen:
        yield f"Not searched: {result.unseen:,} images and other runs of base64."


def _document(result: _Result, here: Locations) -> dict[str, Any]:
    from cli.edit.batch import error_json

    return {
        "version": 1,
        "complete": result.complete,
        "interrupted": result.interrupted,
        "files": {"total": result.files, "done": result.done},
        "kinds": dict(result.counts.most_common()),
        "secrets": [
            {
                "threadId": found.thread_id or None,
                "title": found.title or None,
                "turn": found.place.turn,
                "kind": found.place.kind,
                "length": found.place.length,
                "count": found.place.times,
                "item": found.place.item,
                "path": found.path,
                "offset": found.place.offset,
            }
            for found in result.secrets
        ],
        "leftOut": result.left_out,
        "unseen": result.unseen,
        "hidden": result.hidden._asdict() if result.hidden else None,
        "damage": damage.document(result.damage, here.home),
        "problems": [{"path": path, "reason": why} for path, why in result.problems.items()],
        "failed": [
            {"thread": entry.reference, "error": error_json(entry.error)} for entry in result.failed
        ],
    }
