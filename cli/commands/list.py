"""``threadkeep list``."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from cli import errors
from cli.arguments.filters import Filters, takes_filters
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.arguments.locations import Locations
from cli.arguments.options import (
    ArchivedOption,
    CursorOption,
    JsonOption,
    SyncOption,
    limit_option,
)
from cli.render.threads import (
    COLUMNS,
    OF_FLEET,
    OF_MARKS,
    SHOWN,
    SHOWN_OF_FLEET,
    ThreadTable,
    columns_of,
    mark_text,
)
from cli.terminal import output
from cli.terminal.cells import fitted
from cli.terminal.hidden import elsewhere, footer, lines_of, no_threads, not_shown, showing
from cli.terminal.text import iso, money, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from state.db.steps import Steps
    from state.prices.spending import Spending
    from state.query.marks import Marks
    from state.query.model import Counted, Page, Query
    from state.query.nearby import Nearby
    from state.query.oneshot import IndexReader
    from state.query.rows import Row
    from state.sync.unread import Unread
    from state.thread_index import ThreadIndex

PIPED: Final = ("id", "age", "thread", "folder", "model", "tokens")
_USUAL_LIMIT: Final = 25
_BELOW_FIRST: Final = 3
"""Lines below an early list, besides the one that says how much of the list it is."""
_LEAST_ROWS: Final = 3
"""How many threads a terminal shows that is too low for them."""
_AROUND: Final = 2
"""Lines around the rows: the heads, and the next prompt."""


@dataclass(slots=True)
class Listed:
    """What a list command found."""

    page: "Page"
    counted: "Counted"
    short_ids: dict[str, str]
    empty: bool = False
    """Whether the home has no thread at all."""
    nearby: "Nearby | None" = None
    """Where threads are, if there are none."""
    note: str = ""
    """Why the list may be incomplete."""
    projects: dict[str, str] | None = None
    """The names of the projects of folders, if they are asked for."""
    spending: "dict[str, Spending] | None" = None
    """What the threads have spent, if that is asked for."""
    marks: "dict[str, Marks]" = field(default_factory=dict)
    """What users have put on the threads, by id."""
    early: bool = False
    """Whether it was printed before all files were read, which cannot change the page."""
    shown: int = 0
    """Rows that were printed then."""

    def spent(self, thread_id: str) -> "Spending":
        """What a thread has spent."""
        from state.prices.spending import NOTHING

        return (self.spending or {}).get(thread_id, NOTHING)


class _Extras(NamedTuple):
    """What is read beside the rows."""

    short_ids: bool
    projects: bool


@takes_filters
@takes_fleet
def command(
    context: typer.Context,
    limit: Annotated[
        int | None, limit_option("Threads to show.", f"what fits the terminal, else {_USUAL_LIMIT}")
    ] = None,
    all_pages: Annotated[bool, typer.Option("-a", "--all", help="Show all of them.")] = False,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY", help="recency_at (start of the last turn), updated_at or created_at."
        ),
    ] = "recency_at",
    ascending: Annotated[bool, typer.Option("--asc", help="Oldest first.")] = False,
    cursor: CursorOption = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    fleet: FleetOptions,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Columns to show, however narrow: of {', '.join(COLUMNS)}. tokens is"
            " Codex's last total, with what was inherited; used is what the thread used itself,"
            " and cost what that costs.",
        ),
    ] = None,
    sync: SyncOption = True,
    as_json: JsonOption = False,
) -> int:
    """List threads, the most recently used first. The exit status is 1 if there are none."""
    here = fleet.locations(context)
    query = filters.query(
        sort_key=sort,
        descending=not ascending,
        cursor=cursor,
        archived=archived,
        **fleet.filters,
    )
    terminal = output.on_terminal()
    fits = terminal and not (as_json or all_pages or limit)
    usual = output.height() if fits else _USUAL_LIMIT
    count = None if all_pages else limit or usual
    in_fleet = here.fleet is not None
    usual_columns = (SHOWN, PIPED) if not in_fleet else (SHOWN_OF_FLEET, (*PIPED, *OF_FLEET))
    chosen = columns_of(columns, in_fleet=in_fleet) or usual_columns[not terminal]
    extras = _Extras(not as_json and terminal and "id" in chosen, "project" in chosen)
    wants_spending = not {"used", "cost"}.isdisjoint(chosen)

    def show(listed: Listed) -> None:
        if as_json:
            output.data(_document(listed, here))
        else:
            _print(listed, here, query, chosen, keep_all=bool(columns), fits=fits)

    from cli.runtime.in_step import in_step

    priced = here.index if wants_spending else None
    quick = partial(_quickly, query=query, count=count, extras=extras, priced=priced)
    listed = in_step(here, quick, scan=sync)
    if listed is None:
        from cli.runtime.open_index import read_index

        async def work(index: "ThreadIndex") -> Listed:
            is_whole = wants_spending or extras.projects or count is None or in_fleet
            early = None if is_whole else show
            found = await _thoroughly(index, query, count, sync, extras, early)
            if wants_spending:
                ids = [row["id"] for row in found.page.rows]
                found.spending = await index.spending(ids, query)
            return found

        listed = read_index(here, work)
    if not (as_json and listed.shown):
        show(listed)
    if as_json and listed.note:
        output.say(listed.note)
    return errors.OK if listed.page.rows else errors.NO_MATCH


def _print(
    listed: Listed,
    here: Locations,
    query: "Query",
    columns: Sequence[str],
    *,
    keep_all: bool,
    fits: bool,
) -> None:
    """The rows and what there is to say of them; with ``fits``, as much as fits the terminal. Of an
    early list first the rows alone, and later the rest."""
    rows, counted = listed.page.rows, listed.counted
    terminal = output.on_terminal()
    width = output.width() if terminal else None
    notes = [listed.note]
    first, later = listed.early and not listed.shown, listed.shown > 0
    if not rows:
        in_fleet = here.fleet is not None
        complete = not listed.note
        none = no_threads(
            here.home, empty=listed.empty, complete=complete, fleet=in_fleet, machine=here.machine
        )
        notes.append(none + elsewhere(listed.nearby))
    hidden = not_shown(counted.hidden, counted.most)
    below = [] if first else footer([*notes, hidden], width)
    more = bool(listed.page.next_cursor)
    if later:
        rows, more = rows[: listed.shown], more or listed.shown < len(rows)
    elif fits:
        room = output.height() - _AROUND - (_BELOW_FIRST if first else lines_of(below))
        if more or len(rows) > room:
            rows, more = rows[: max(room - 1, _LEAST_ROWS)], True
    if first:
        listed.shown = len(rows)
    elif more:
        below.insert(
            bool(listed.note), fitted(showing(len(rows), counted.listed, counted.most), width)
        )
    if rows and terminal and not later:
        shown = ThreadTable(
            columns=columns,
            keep_all=keep_all,
            sort_key=query.sort_key,
            short_ids=listed.short_ids,
            spending=listed.spending or {},
            projects=listed.projects or {},
            marks=listed.marks,
        )
        output.lines(shown.lines(rows))
    elif rows and not later:
        _lines(listed, query, columns)
    for text in below:
        output.say(text)


def _quickly(
    reader: "IndexReader",
    query: "Query",
    count: int | None,
    extras: "_Extras",
    priced: "Path | None",
) -> Listed | None:
    """What an index that is up to date gives; with the spending, if ``priced`` is its path."""
    pages: list[Page] = []
    while not pages or _wants_more(pages, count):
        page = reader.page(_next(query, pages, count))
        if page is None:
            return None
        pages.append(page)
    whole = _joined(pages)
    listed = reader.read(_listed_steps(whole, query, extras))
    if priced is not None:
        from state.prices.current import price_lists
        from state.prices.spending import spending_steps

        steps = spending_steps(price_lists(priced), [row["id"] for row in whole.rows])
        listed.spending = reader.read(steps)
        if listed.spending is None:
            return None
    return listed


async def _thoroughly(
    index: "ThreadIndex",
    query: "Query",
    count: int | None,
    sync: bool,
    extras: "_Extras",
    early: Callable[[Listed], None] | None,
) -> Listed:
    """What the index gives once it has caught up; ``early`` prints it as soon as it is right."""
    from cli.runtime.open_index import answered, catch_up
    from cli.runtime.waiting import for_page
    from state.query.settled import lengthened, may_be_early

    async def read() -> "Page":
        pages = [await index.page(_next(query, [], count))]
        while _wants_more(pages, count):
            pages.append(await index.page(_next(query, pages, count)))
        return _joined(pages)

    async def listed(page: "Page") -> Listed:
        in_fleet = index.database.is_fleet
        counted = await index.count(query) if in_fleet else None
        return await index.read(lambda: _listed_steps(page, query, extras, counted), query)

    printed: list[Listed] = []

    async def found(page: "Page", unread: "Unread") -> None:
        if early is None or not unread or not page.rows:
            return
        first = await listed(page)
        first.early, first.short_ids = True, lengthened(first.short_ids, unread)
        early(first)
        first.shown = first.shown or len(page.rows)
        answered("list", len(unread))
        printed.append(first)

    note = ""
    if sync and early and may_be_early(query):
        output.keep_stdout()
        note = await catch_up(index, waiting=for_page(index, query, read, found))
    elif sync:
        note = await catch_up(index, what="indexing all files first")
    if printed:
        return replace(printed[0], counted=await index.count(query), note=note)
    return replace(await listed(await read()), note=note)


def _listed_steps(
    page: "Page", query: "Query", extras: "_Extras", of_fleet: "Counted | None" = None
) -> "Steps[Listed]":
    from state.query.listing import any_steps, count_steps, short_id_steps
    from state.query.marks import marks_steps

    ids = [row["id"] for row in page.rows]
    short_ids = yield from short_id_steps(ids if extras.short_ids else [])
    listed = Listed(page, of_fleet or (yield from count_steps(query)), short_ids)
    listed.marks = yield from marks_steps(ids)
    if extras.projects:
        from state.query.projects import project_steps

        listed.projects = yield from project_steps(row["cwd"] for row in page.rows)
    listed.empty = not (page.rows or (yield from any_steps()))
    if not (page.rows or listed.empty):
        from state.query.nearby import nearby_steps

        home = os.path.expanduser("~")
        listed.nearby = yield from nearby_steps(query, home, on_disk=of_fleet is None)
    return listed


def _next(query: "Query", pages: "list[Page]", count: int | None) -> "Query":
    from state.query.model import LARGEST_PAGE

    wanted = LARGEST_PAGE if count is None else count - sum(len(page.rows) for page in pages)
    cursor = pages[-1].next_cursor if pages else query.cursor
    return replace(query, cursor=cursor, limit=min(wanted, LARGEST_PAGE))


def _wants_more(pages: "list[Page]", count: int | None) -> bool:
    found = sum(len(page.rows) for page in pages)
    return pages[-1].next_cursor is not None and (count is None or found < count)


def _joined(pages: "list[Page]") -> "Page":
    from state.query.model import Page

    rows = [row for page in pages for row in page.rows]
    return Page(rows, pages[-1].next_cursor, pages[0].backwards_cursor)


def _document(listed: Listed, here: Locations) -> dict[str, Any]:
    from cli.render.labels import marks_json, usage_json
    from state.query.thread_json import thread_json

    def thread(row: "Row") -> dict[str, Any]:
        usage = {} if listed.spending is None else {"usage": usage_json(listed.spent(row["id"]))}
        project = {} if listed.projects is None else {"project": listed.projects[row["cwd"]]}
        marks = marks_json(listed.marks.get(row["id"]))
        return thread_json(row, here.home) | usage | project | marks

    page = listed.page
    return {
        "data": output.Made(thread, page.rows),
        "nextCursor": page.next_cursor,
        "backwardsCursor": page.backwards_cursor,
        "hidden": listed.counted.hidden._asdict(),
        "fallbackPreview": [row["id"] for row in page.rows if not row["preview"]],
        "complete": not (listed.note or listed.early),
    }


def _lines(listed: Listed, query: "Query", columns: Sequence[str]) -> None:
    """For pipes: whole values, tab-separated, one thread a line."""
    from cli.render.labels import label

    def text(row: "Row") -> str:
        values = {
            "id": row["id"],
            "age": iso(row[f"{query.sort_key}_ms"]),
            "thread": label(row),
            "folder": row["cwd"],
            "project": (listed.projects or {}).get(row["cwd"], ""),
            "branch": row["git_branch"] or "",
            "source": row["source_kind"],
            "size": str(row["size_bytes"]),
            "model": row["model"] or "",
            "tokens": str(row["tokens_used"]),
            **{name: row.get(name, "") for name in OF_FLEET},
            **{name: mark_text(name, listed.marks.get(row["id"])) for name in OF_MARKS},
        }
        if listed.spending is not None:
            spent = listed.spent(row["id"])
            values["used"] = str(spent.tokens)
            values["cost"] = money(spent.cost, spent.unpriced_tokens, exact=True)
        return "\t".join(one_line(values[name]) for name in columns)

    output.lines(text(row) for row in listed.page.rows)
