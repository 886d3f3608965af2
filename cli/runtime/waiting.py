"""What a command waits for while the index is filled: only as much as its answer takes."""

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from state.errors import POSITION
from state.jobs.runner import Answered
from state.query.model import LARGEST_PAGE, Query
from state.query.resolve import known_id_steps
from state.query.settled import missing_parts_steps, missing_steps

if TYPE_CHECKING:
    from state.query.model import Page
    from state.sync.unread import Unread, Waiting
    from state.thread_index import ThreadIndex


class Coverage(NamedTuple):
    """How much of the home a first answer comes from."""

    searched: int
    """Threads, the newest ones."""
    total: int
    right: bool
    """Whether the others make no difference."""


def for_page(
    index: "ThreadIndex",
    query: "Query",
    read: "Callable[[], Awaitable[Page]]",
    found: "Callable[[Page, Unread], Awaitable[None]]",
) -> "Waiting":
    """Waits until the page that ``read`` gives for ``query`` is right, and passes it to ``found``,
    with the files that are not read yet."""

    async def waiting(unread: "Unread") -> Collection[str] | None:
        page = await read()
        missing = await index.database.query(missing_steps(query, page, unread))
        if missing is None:
            await found(page, unread)
        return missing

    return waiting


def for_rows(index: "ThreadIndex", query: "Query") -> "Waiting":
    """Waits until the page of ``query`` is right, and leaves all other files to the next
    command."""

    async def found(_page: "Page", _unread: "Unread") -> None:
        raise Answered

    return for_page(index, query, lambda: index.page(query), found)


def for_thread(index: "ThreadIndex", reference: str) -> "Waiting":
    """Waits for the thread that an id, a prefix of one, a path or a place in the list means, and
    leaves all other files to the next command. A name could be that of any thread."""
    if POSITION.fullmatch(reference) and (place := int(reference[1:])) <= LARGEST_PAGE:
        return for_rows(index, Query(sort_key="recency_at", limit=place))

    async def waiting(unread: "Unread") -> Collection[str] | None:
        id_ = await index.database.query(known_id_steps(index.home, reference, unread.ids()))
        if id_ is None or id_ in unread.ids():
            return {id_} if id_ else ()
        rows = await index.rows_of([id_])
        missing = await index.database.query(missing_parts_steps([*rows.values()], unread))
        if rows and missing is None:
            raise Answered
        return missing or ()

    return waiting
