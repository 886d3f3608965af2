"""A query for threads, and the page it gives."""

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from rollout.files.digest import blake2b
from rollout.files.layout import parse_uuid
from rollout.files.text import is_storable
from rollout.schema.session_source import SOURCE_KINDS
from state.db.derived_columns import SORT_KEYS
from state.errors import InvalidMark, InvalidQuery
from state.query.cursor import Cursor, decode
from state.query.rows import Row
from state.userdata.marks import STATUSES, clean_tag

DEFAULT_LIMIT: Final = 25
LARGEST_PAGE: Final = 100
MOST_INCLUDED: Final = 100
MOST_EXCLUDED: Final = 100
MOST_COUNTED: Final = 10_000
"""A fleet counts no further: see :attr:`Counted.most`."""
LARGEST_NUMBER: Final = 2**63 - 1
"""SQLite has no larger ones."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. The defaults are Codex's, but for the provider: all of them (see
    docs/differences.md)."""

    sort_key: str = "created_at"
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    archived: bool = False
    source_kinds: tuple[str, ...] = ()
    """Of :data:`rollout.schema.session_source.SOURCE_KINDS`; none named means the interactive
    ones."""
    all_sources: bool = False
    providers: tuple[str, ...] = ()
    cwds: tuple[str, ...] | None = None
    """None for any; an empty tuple matches nothing, as in Codex."""
    folders: tuple[str, ...] = ()
    """Each with all folders below it."""
    projects: tuple[str, ...] = ()
    """Names of projects, or of folders, wherever these are, with all folders below them; a path is
    the project of that folder: see :mod:`state.query.projects`."""
    models: tuple[str, ...] = ()
    """``*`` stands for any text, here and in ``branches``."""
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """A thread must have all of them; kept as :func:`state.userdata.marks.clean_tag` gives them."""
    pinned: bool | None = None
    """None for both."""
    statuses: tuple[str, ...] = ()
    """Of :data:`state.userdata.marks.STATUSES`; a thread must have one of them."""
    min_tokens: int = 0
    min_size: int = 0
    """Of the thread's file, in bytes."""
    since_ms: int | None = None
    """The first moment, on the time that the list is sorted by."""
    until_ms: int | None = None
    """The first moment that is too late."""
    search: str | None = None
    words: tuple[str, ...] = ()
    """Each is somewhere in what ``search`` looks through, and none of ``without`` is."""
    without: tuple[str, ...] = ()
    parent_id: str | None = None
    ancestor_id: str | None = None
    excluded_ids: tuple[str, ...] = ()
    included_ids: tuple[str, ...] | None = None
    """None for any; an empty tuple matches nothing, as in Codex. All other filters apply, too."""
    attached: bool = False
    """Whether to list side threads that belong to another one."""
    machine: str | None = None
    """Only in a fleet, as ``users``: the machine whose copies are listed, as its own index does. By
    default the newest copy of each thread is."""
    users: tuple[str, ...] = ()
    """The newest copy of a thread must be on a machine of one of them."""

    def __post_init__(self) -> None:
        """Raise :class:`InvalidQuery` for what has no meaning; clamp the limit."""
        if self.sort_key not in SORT_KEYS:
            raise InvalidQuery(
                f"unknown sort key {self.sort_key!r}: use one of {', '.join(SORT_KEYS)}"
            )
        for kind in self.source_kinds:
            if kind not in SOURCE_KINDS:
                raise InvalidQuery(
                    f"unknown source kind {kind!r}: use one or more of {', '.join(SOURCE_KINDS)}"
                )
        if self.parent_id and self.ancestor_id:
            raise InvalidQuery("parent and ancestor cannot be combined")
        included = self.included_ids or ()
        kin = filter(None, (self.parent_id, self.ancestor_id))
        for given in (*kin, *self.excluded_ids, *included):
            if parse_uuid(given) is None:
                raise InvalidQuery(f"invalid thread id: {given}: a full id is needed")
        if len(self.excluded_ids) > MOST_EXCLUDED:
            raise InvalidQuery(f"at most {MOST_EXCLUDED} threads can be excluded")
        if len(included) > MOST_INCLUDED:
            raise InvalidQuery(f"at most {MOST_INCLUDED} threads can be named")
        values = (*self.projects, *self.models, *self.branches)
        if not all(value.strip(" /") for value in values):
            raise InvalidQuery("a project, model or branch is blank")
        for status in self.statuses:
            if status not in STATUSES:
                known = ", ".join(STATUSES)
                raise InvalidQuery(f"unknown status {status!r}: use one or more of {known}")
        try:
            tags = tuple(dict.fromkeys(map(clean_tag, self.tags)))
        except InvalidMark as error:
            raise InvalidQuery(str(error)) from None
        numbers = (self.min_tokens, self.min_size, self.since_ms or 0, self.until_ms or 0)
        if any(abs(number) > LARGEST_NUMBER for number in numbers):
            raise InvalidQuery("a number is too large")
        searched = (self.search or "", *self.words, *self.without)
        owners = (self.machine or "", *self.users)
        texts = (*self.providers, *(self.cwds or ()), *self.folders, *values, *searched, *owners)
        if any("\0" in text or not is_storable(text) for text in texts):
            raise InvalidQuery("a filter holds a NUL or bytes that are not UTF-8")
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "limit", min(max(self.limit, 1), LARGEST_PAGE))

    @property
    def terms(self) -> tuple[str, ...]:
        """All texts that a title search must find."""
        return (*(() if self.search is None else (self.search,)), *self.words)

    @property
    def filters(self) -> str:
        """Digest of all filters; a cursor is only valid for the same ones."""
        spanned = self.since_ms is not None or self.until_ms is not None
        newer = {  # which the digests of older cursors do not have
            "folders": sorted(self.folders),
            "projects": sorted(self.projects),
            "models": sorted(self.models),
            "branches": sorted(self.branches),
            "tags": sorted(self.tags),
            "pinned": [] if self.pinned is None else [self.pinned],
            "statuses": sorted(self.statuses),
            "words": sorted(self.words),
            "without": sorted(self.without),
            "least": [self.min_tokens, self.min_size] if self.min_tokens or self.min_size else [],
            # Not the machine: its list is the one that its own index gives, and so are cursors.
            "users": sorted(self.users),
            # Not which: the limits of "the last 12 hours" move, and the place stays a place.
            "span": [self.since_ms is not None, self.until_ms is not None] if spanned else [],
        }
        given = {name: value for name, value in newer.items() if value}
        value = [
            self.archived,
            sorted(self.source_kinds),
            self.all_sources,
            sorted(self.providers),
            None if self.cwds is None else sorted(self.cwds),
            self.search,
            self.parent_id,
            self.ancestor_id,
            sorted(self.excluded_ids),
            *(["attached"] if self.attached else []),
            *([] if self.included_ids is None else [{"included": sorted(self.included_ids)}]),
            *([given] if given else []),
        ]
        return blake2b(json.dumps(value).encode(), digest_size=6).hexdigest()

    def of_one_index(self) -> "Query":
        """Itself. Raises :class:`InvalidQuery` if it asks for what only a fleet has."""
        if self.machine is not None or self.users:
            raise InvalidQuery("a machine or user is named, which only a fleet has: add --fleet")
        return self

    def decoded_cursor(self) -> Cursor | None:
        """The decoded cursor. Raises :class:`state.errors.InvalidCursor`."""
        if self.cursor is None:
            return None
        return decode(self.cursor, self.sort_key, self.descending, self.filters)


ANY: Final = Query()
"""For reads of which only counts whose threads they see: of an index all, of a fleet the newest
copies."""


class Page(NamedTuple):
    """Rows in order, and the cursors that continue from them."""

    rows: list[Row]
    next_cursor: str | None = None
    backwards_cursor: str | None = None
    """For the opposite direction; begins with the first row itself, as Codex's does."""


class Hidden(NamedTuple):
    """How many threads the defaults keep out of a list, by reason."""

    archived: int = 0
    source: int = 0
    empty: int = 0
    attached: int = 0
    """Side threads that belong to another one."""
    unreadable: int = 0
    """Unreadable files."""

    @property
    def total(self) -> int:
        return self.archived + self.source + self.empty + self.attached + self.unreadable


class Counted(NamedTuple):
    """How many threads a whole list has, and what it leaves out."""

    listed: int
    hidden: Hidden
    most: int | None = None
    """No number is counted further than this: one more stands for any above. None for no limit."""
