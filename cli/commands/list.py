"""``threadkeep list``."""

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.filters import Filters, takes_filters
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, CursorOption, JsonOption, SyncOption, locations
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from cli.terminal.hidden import no_threads, report_hidden
from cli.terminal.text import age, amount, iso, one_line
from state.errors import SQLITE_ERRORS

if TYPE_CHECKING:
    from state.query.model import Hidden, Page, Query
    from state.query.rows import Row
    from state.thread_index import ThreadIndex


@dataclass(slots=True)
class Listed:
    """What a list command found."""

    page: "Page"
    hidden: "Hidden"
    short_ids: dict[str, str]
    empty: bool
    """Whether the home has no thread at all."""
    note: str = ""
    """Why the list may be incomplete."""


@takes_filters
def command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Threads to show.")] = 25,
    all_pages: Annotated[bool, typer.Option("--all", help="Show all of them.")] = False,
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
    sync: SyncOption = True,
    as_json: JsonOption = False,
) -> int:
    """List threads, the most recently used first. The exit status is 1 if there are none."""
    here = locations(context)
    query = filters.query(sort_key=sort, descending=not ascending, cursor=cursor, archived=archived)
    count = None if all_pages else limit
    wants_ids = not as_json and output.on_terminal()
    try:
        listed = None if DELEGATED.get() else _quickly(here, query, count, sync, wants_ids)
    except SQLITE_ERRORS:
        listed = None  # the thorough way reports what is wrong, and repairs it where it can
    if listed is None:
        from cli.runtime.open_index import read_index

        listed = read_index(here, lambda index: _thoroughly(index, query, count, sync, wants_ids))
    page = listed.page
    if as_json:
        output.data(_document(listed, here))
    elif page.rows:
        (_table if wants_ids else _lines)(listed, query)
    if listed.note:
        output.say(listed.note)
    if not as_json:
        if not page.rows:
            output.say(no_threads(here.home, empty=listed.empty))
        report_hidden(listed.hidden)
        if page.next_cursor:
            output.say("There are more threads: --limit N or --all shows them.")
    return errors.OK if page.rows else errors.NO_MATCH


def _quickly(
    here: Locations, query: "Query", count: int | None, sync: bool, wants_ids: bool
) -> Listed | None:
    from state.query.oneshot import IndexReader

    with IndexReader.opened(here.home, here.index, scan=sync) as reader:
        if reader is None:
            return None
        pages: list[Page] = []
        while True:
            page = reader.page(_next(query, pages, count))
            if page is None:
                return None
            pages.append(page)
            if not _wants_more(pages, count):
                break
        whole = _joined(pages)
        ids = reader.short_ids([row["id"] for row in whole.rows]) if wants_ids else {}
        empty = not whole.rows and reader.is_empty()
        return Listed(whole, reader.hidden(query), ids, empty)


async def _thoroughly(
    index: "ThreadIndex", query: "Query", count: int | None, sync: bool, wants_ids: bool
) -> Listed:
    from cli.runtime.open_index import catch_up

    note = await catch_up(index) if sync else ""
    pages = [await index.page(_next(query, [], count))]
    while _wants_more(pages, count):
        pages.append(await index.page(_next(query, pages, count)))
    whole = _joined(pages)
    ids = await index.short_ids([row["id"] for row in whole.rows]) if wants_ids else {}
    empty = not whole.rows and await index.is_empty()
    return Listed(whole, await index.hidden(query), ids, empty, note)


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
    from state.query.thread_json import thread_json

    page, hidden = listed.page, listed.hidden
    return {
        "data": [thread_json(row, here.home) for row in page.rows],
        "nextCursor": page.next_cursor,
        "backwardsCursor": page.backwards_cursor,
        "hidden": asdict(hidden),
        "fallbackPreview": [row["id"] for row in page.rows if not row["preview"]],
        "complete": not listed.note,
    }


def _lines(listed: Listed, query: "Query") -> None:
    """For pipes: whole values, tab-separated, one thread a line."""
    from cli.render.labels import label

    def text(row: "Row") -> str:
        values = (
            row["id"],
            iso(row[f"{query.sort_key}_ms"]),
            label(row),
            row["cwd"],
            row["model"] or "",
            str(row["tokens_used"]),
        )
        return "\t".join(one_line(value) for value in values)

    output.lines(text(row) for row in listed.page.rows)


def _table(listed: Listed, query: "Query") -> None:
    import os

    from rich.table import Table
    from rich.text import Text

    from cli.render.labels import folder, label
    from state.query.thread_json import display_name

    home = os.path.expanduser("~")
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    heads = {"created_at": "created", "updated_at": "changed", "recency_at": "age"}
    table.add_column(heads[query.sort_key])
    table.add_column("thread", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("folder", no_wrap=True, overflow="ellipsis", max_width=26)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True)
    now_ms = time.time_ns() // 1_000_000
    for row in listed.page.rows:
        style = "bold" if display_name(row) else "" if row["preview"] else "italic dim"
        marks = "" if row["history_mode"] in ("legacy", "paginated") else " [unsupported history]"
        table.add_row(
            age(row[f"{query.sort_key}_ms"], now_ms),
            Text(one_line(label(row)) + marks, style=style),
            Text(folder(row["cwd"], home)),
            Text(one_line(row["model"] or "")),
            amount(row["tokens_used"]) if row["tokens_used"] else "",
            Text(listed.short_ids[row["id"]], style="cyan"),
        )
    output.table(table)
