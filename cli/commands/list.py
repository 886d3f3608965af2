"""``threadkeep list``: what threads there are."""

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cli import errors
from cli.arguments.locations import Locations
from cli.remote.context import SERVING
from cli.render.labels import folder, label
from cli.terminal import output
from cli.terminal.text import age, amount, iso, one_line
from state.errors import SQLITE_ERRORS
from state.query.model import LARGEST_PAGE, Hidden, Page, Query
from state.query.rows import Row
from state.query.thread_json import display_name, thread_json

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


@dataclass(slots=True)
class Listed:
    """What a list command found."""

    page: Page
    hidden: Hidden
    short_ids: dict[str, str]
    nothing: bool
    """Whether there is no thread at all, whatever is asked for."""
    note: str = ""
    """Why the list may not be whole yet."""


def run(locations: Locations, query: Query, count: int | None, *, sync: bool, as_json: bool) -> int:
    """List threads: up to ``count``, or all of them. Gives the exit status."""
    wants_ids = not as_json and output.on_terminal()
    try:
        listed = None if SERVING.get() else _quickly(locations, query, count, sync, wants_ids)
    except SQLITE_ERRORS:
        listed = None  # the long way tells what is wrong, and mends it where it can
    if listed is None:
        from cli.runtime.open_index import read_index

        listed = read_index(
            locations, lambda index: _thoroughly(index, query, count, sync, wants_ids)
        )
    if as_json:
        output.data(_document(listed, locations))
    elif listed.page.rows:
        (_table if wants_ids else _lines)(listed, query)
    if listed.note:
        output.say(listed.note)
    if not as_json:
        _tell_more(listed, query)
    return errors.OK if listed.page.rows else errors.NO_MATCH


def _quickly(
    locations: Locations, query: Query, count: int | None, sync: bool, wants_ids: bool
) -> Listed | None:
    from state.query.oneshot import Reader

    with Reader.opened(locations.home, locations.index, scan=sync) as reader:
        if reader is None:
            return None
        pages: list[Page] = []
        while True:
            page = reader.page(_next(query, pages, count))
            if page is None:
                return None
            pages.append(page)
            if not _goes_on(pages, count):
                break
        whole = _joined(pages)
        ids = reader.short_ids([row["id"] for row in whole.rows]) if wants_ids else {}
        nothing = not whole.rows and reader.is_empty()
        return Listed(whole, reader.hidden(query), ids, nothing)


async def _thoroughly(
    index: "ThreadIndex", query: Query, count: int | None, sync: bool, wants_ids: bool
) -> Listed:
    from cli.runtime.open_index import catch_up

    note = await catch_up(index) if sync else ""
    pages = [await index.page(_next(query, [], count))]
    while _goes_on(pages, count):
        pages.append(await index.page(_next(query, pages, count)))
    whole = _joined(pages)
    ids = await index.short_ids([row["id"] for row in whole.rows]) if wants_ids else {}
    nothing = not whole.rows and await index.is_empty()
    return Listed(whole, await index.hidden(query), ids, nothing, note)


def _next(query: Query, pages: list[Page], count: int | None) -> Query:
    wanted = LARGEST_PAGE if count is None else count - sum(len(page.rows) for page in pages)
    cursor = pages[-1].next_cursor if pages else query.cursor
    return replace(query, cursor=cursor, limit=min(wanted, LARGEST_PAGE))


def _goes_on(pages: list[Page], count: int | None) -> bool:
    found = sum(len(page.rows) for page in pages)
    return pages[-1].next_cursor is not None and (count is None or found < count)


def _joined(pages: list[Page]) -> Page:
    rows = [row for page in pages for row in page.rows]
    return Page(rows, pages[-1].next_cursor, pages[0].backwards_cursor)


def _document(listed: Listed, locations: Locations) -> dict[str, Any]:
    page, hidden = listed.page, listed.hidden
    return {
        "data": [thread_json(row, locations.home) for row in page.rows],
        "nextCursor": page.next_cursor,
        "backwardsCursor": page.backwards_cursor,
        "hidden": asdict(hidden),
        "fallbackPreview": [row["id"] for row in page.rows if not row["preview"]],
        "complete": not listed.note,
    }


def _tell_more(listed: Listed, query: Query) -> None:
    if not listed.page.rows:
        output.say(no_threads(nothing=listed.nothing))
    report_hidden(listed.hidden)
    if listed.page.next_cursor:
        output.say("There are more: --limit N or --all shows them.")


def no_threads(*, nothing: bool) -> str:
    """Why no thread is shown: there is none, or none fits."""
    return "No threads here yet." if nothing else "No threads match."


def report_hidden(hidden: Hidden) -> None:
    """Say what was left out, and what shows it."""
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (hidden.source, "not interactive (--all-sources)"),
            (hidden.attached, "attached to another (--all-sources)"),
            (hidden.archived, "archived (--archived)"),
            (hidden.empty, "with nothing in them"),
            (hidden.unreadable, "unreadable (threadkeep status)"),
        )
        if count
    ]
    if parts:
        output.say(f"Hidden: {', '.join(parts)}.")


def _lines(listed: Listed, query: Query) -> None:
    """For pipes: whole values, tab-separated, one thread a line."""

    def text(row: Row) -> str:
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


def _table(listed: Listed, query: Query) -> None:
    import os

    from rich.table import Table
    from rich.text import Text

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
