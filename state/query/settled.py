"""Whether a page is right before all files are read: whether none of the others can change it.

A thread belongs on a page by its sort key, and no file holds a thread with a later time than that
of :func:`state.sync.unread.latest_ms`. So a full page of the newest threads is right once all files
are read that changed after its last row, a list of all threads since some time once those are read
that changed since; and once those are read that the threads on it may have besides, which their
names tell. Then no other file can add, replace or move a row. That there is a next page is only
likely: its threads may have other files.
"""

from collections.abc import Collection, Sequence
from typing import Final

from rollout.files.layout import precedence
from rollout.metadata.model import BEGINS_ELSEWHERE
from state.db.steps import Steps
from state.query.model import Page, Query
from state.query.rows import Row
from state.rows.openings import base_id
from state.sync.unread import Unread

_BEGIN_ELSEWHERE: Final = f"SELECT id, history_base FROM threads WHERE flags & {BEGINS_ELSEWHERE}"


def may_be_early(query: Query) -> bool:
    """Whether a page of ``query`` can be right before all files are read: the oldest threads, and
    what a thread has spawned by others, may be in any of them; and any of them may have the origin
    that puts a folder into a project."""
    return query.descending and not query.ancestor_id and not query.projects


def missing_steps(query: Query, page: Page, unread: Unread) -> "Steps[Collection[str] | None]":
    """None if no file of ``unread`` can change ``page``, which ``query`` gave. Else the ids whose
    files are missing, by their names; none if only the order of reading gets there."""
    if not unread:
        return None
    least = least_key(query, page)
    if not may_be_early(query) or least is None or unread.latest_ms >= least:
        return ()
    return (yield from missing_parts_steps(page.rows, unread))


def least_key(query: Query, page: Page) -> int | None:
    """A thread with a lower sort key is not on the page, for which ``query`` asks; None if there
    may be room for any."""
    if page.next_cursor is None:
        return query.since_ms
    return int(page.rows[-1][f"{query.sort_key}_ms"]) if page.rows else None


def missing_parts_steps(rows: Sequence[Row], unread: Unread) -> "Steps[Collection[str] | None]":
    """The same for threads, whatever else there is: the ids whose files may belong to them."""
    ids = {row["id"] for row in rows}
    if not all(precedence(row["rollout_path"], 0, row["id"]).regular for row in rows):
        return ()  # another file may be the thread's own, whatever it is called
    # The first message of a thread may be in a file of another one.
    for id_, base in (yield _BEGIN_ELSEWHERE, []):
        ids |= {id_, base_id(base) or id_}
    return ids.intersection(unread.ids()) or None


def lengthened(short_ids: dict[str, str], unread: Unread) -> dict[str, str]:
    """Prefixes of ids that are unique also among the ids in the names of ``unread``."""
    longer = dict(short_ids)
    for id_, short in short_ids.items():
        others = [other for other in unread.ids() if other.startswith(short) and other != id_]
        while any(other.startswith(longer[id_]) for other in others):
            longer[id_] = id_[: len(longer[id_]) + 1]
    return longer
