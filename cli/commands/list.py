"""``threadkeep list``."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.filters import Filters, takes_filters
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, CursorOption, JsonOption, SyncOption, locations
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from cli.terminal.hidden import no_threads, report_hidden
from cli.terminal.text import age, amount, iso, money, one_line
from state.errors import SQLITE_ERRORS

if TYPE_CHECKING:
    from state.prices.spending import Spending
    from state.query.model import Hidden, Page, Query
    from state.query.rows import Row
    from state.thread_index import ThreadIndex

PIPED: Final = ("id", "age", "thread", "folder", "model", "tokens")
SHOWN: Final = ("age", "thread", "folder", "model", "tokens", "id")
COLUMNS: Final = (*SHOWN, "branch", "source", "used", "cost")


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
    spending: "dict[str, Spending] | None" = None
    """What the threads have spent, if that is asked for."""

    def spent(self, thread_id: str) -> "Spending":
        """What a thread has spent."""
        from state.prices.spending import NOTHING

        return (self.spending or {}).get(thread_id, NOTHING)


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
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Columns to show: of {', '.join(COLUMNS)}. tokens is Codex's last total, with"
            " what was inherited; used is what the thread used itself, and cost what that costs.",
        ),
    ] = None,
    sync: SyncOption = True,
    as_json: JsonOption = False,
) -> int:
    """List threads, the most recently used first. The exit status is 1 if there are none."""
    here = locations(context)
    query = filters.query(sort_key=sort, descending=not ascending, cursor=cursor, archived=archived)
    count = None if all_pages else limit
    terminal = output.on_terminal()
    chosen = _chosen(columns) or (SHOWN if terminal else PIPED)
    wants_ids = not as_json and terminal and "id" in chosen
    wants_spending = not {"used", "cost"}.isdisjoint(chosen)
    listed = None
    if not (DELEGATED.get() or wants_spending):
        # If it cannot, the thorough way says what is wrong, and repairs it where it can.
        with suppress(*SQLITE_ERRORS):
            listed = _quickly(here, query, count, sync, wants_ids)
    if listed is None:
        from cli.runtime.open_index import read_index

        async def work(index: "ThreadIndex") -> Listed:
            found = await _thoroughly(index, query, count, sync, wants_ids)
            if wants_spending:
                found.spending = await _spending(index, found.page.rows)
            return found

        listed = read_index(here, work)
    page = listed.page
    if as_json:
        output.data(_document(listed, here))
    elif page.rows:
        (_table if terminal else _lines)(listed, query, chosen)
    if listed.note:
        output.say(listed.note)
    if not as_json:
        if not page.rows:
            output.say(no_threads(here.home, empty=listed.empty, complete=not listed.note))
        report_hidden(listed.hidden)
        if page.next_cursor:
            output.say("There are more threads: --limit N or --all shows them.")
    return errors.OK if page.rows else errors.NO_MATCH


def _chosen(columns: str | None) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
    unknown = [name for name in chosen if name not in COLUMNS]
    if unknown:
        raise typer.BadParameter(
            f"--columns has no {unknown[0]}: give some of {', '.join(COLUMNS)}, with commas"
        )
    return chosen


async def _spending(index: "ThreadIndex", rows: "list[Row]") -> "dict[str, Spending]":
    from state.prices.spending import spending

    return await spending(index.database, [row["id"] for row in rows])


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
    from cli.render.labels import usage_json
    from state.query.thread_json import thread_json

    page, hidden = listed.page, listed.hidden
    threads = [thread_json(row, here.home) for row in page.rows]
    if listed.spending is not None:
        for thread in threads:
            thread["usage"] = usage_json(listed.spent(thread["id"]))
    return {
        "data": threads,
        "nextCursor": page.next_cursor,
        "backwardsCursor": page.backwards_cursor,
        "hidden": asdict(hidden),
        "fallbackPreview": [row["id"] for row in page.rows if not row["preview"]],
        "complete": not listed.note,
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
            "branch": row["git_branch"] or "",
            "source": row["source_kind"],
            "model": row["model"] or "",
            "tokens": str(row["tokens_used"]),
        }
        if listed.spending is not None:
            spent = listed.spent(row["id"])
            values["used"] = str(spent.tokens)
            values["cost"] = money(spent.cost, spent.unpriced_tokens, exact=True)
        return "\t".join(one_line(values[name]) for name in columns)

    output.lines(text(row) for row in listed.page.rows)


def _table(listed: Listed, query: "Query", columns: Sequence[str]) -> None:
    import os

    from rich.table import Table
    from rich.text import Text

    from cli.render.labels import folder, label
    from state.query.thread_json import display_name

    home = os.path.expanduser("~")
    heads = {"created_at": "created", "updated_at": "changed", "recency_at": "age"}
    looks: dict[str, dict[str, Any]] = {
        "age": {"header": heads[query.sort_key]},
        "thread": {"no_wrap": True, "overflow": "ellipsis", "ratio": 1},
        "folder": {"no_wrap": True, "overflow": "ellipsis", "max_width": 26},
        "model": {"no_wrap": True, "overflow": "ellipsis", "max_width": 16},
        "branch": {"no_wrap": True, "overflow": "ellipsis", "max_width": 20},
        "tokens": {"no_wrap": True, "justify": "right"},
        "used": {"no_wrap": True, "justify": "right"},
        "cost": {"no_wrap": True, "justify": "right"},
    }
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name in columns:
        table.add_column(**{"header": name, "no_wrap": True, **looks.get(name, {})})
    now_ms = time.time_ns() // 1_000_000
    for row in listed.page.rows:
        style = "bold" if display_name(row) else "" if row["preview"] else "italic dim"
        marks = "" if row["history_mode"] in ("legacy", "paginated") else " [unsupported history]"
        cells: dict[str, str | Text] = {
            "age": age(row[f"{query.sort_key}_ms"], now_ms),
            "thread": Text(one_line(label(row)) + marks, style=style),
            "folder": Text(folder(row["cwd"], home)),
            "branch": Text(one_line(row["git_branch"] or "")),
            "source": Text(one_line(row["source_kind"])),
            "model": Text(one_line(row["model"] or "")),
            "tokens": amount(row["tokens_used"]) if row["tokens_used"] else "",
            "id": Text(listed.short_ids.get(row["id"], ""), style="cyan"),
        }
        if listed.spending is not None:
            spent = listed.spent(row["id"])
            cells["used"] = amount(spent.tokens) if spent.tokens else ""
            cells["cost"] = money(spent.cost, spent.unpriced_tokens)
        table.add_row(*(cells[name] for name in columns))
    output.table(table)
