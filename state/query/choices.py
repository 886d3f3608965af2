"""What filters choose among the values of a column: facets, folders, models, branches, tokens,
bytes.

Texts may be chosen by patterns, and folders with those below them. Which of the values in the index
fit is found by skipping from one to the next, so that lists are read from an index on them.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from rollout.files.text import storable_text
from rollout.schema.session_source import kinds_selected
from state.db.derived_columns import Facet
from state.db.steps import LAST_TEXT, Steps, different_steps, has_indexes_steps
from state.query.model import Query
from state.userdata.folders import (
    ALIASES_SQL,
    is_below,
    origins,
    spellings,
    tree_roots,
)

MOST_RARE: Final = 2000
"""So many rows are looked up one by one. What more of them have is found faster by walking the list
in its order."""
MOST_VALUES: Final = 1000
"""If there are more different values to look at, each row is compared instead."""
_INDEX_OF: Final = {
    "cwd_key": "ix_threads_cwd_recency_at",
    "model": "ix_threads_model",
    "git_branch": "ix_threads_git_branch",
}
_Range = tuple[str, str]
"""From one text on, and before another one."""

Reason = Literal["listed", "archived", "source", "empty", "attached", "unreadable"]
"""Whether a list has threads, or why not: the fields of :class:`state.query.model.Hidden`."""


class Choice(NamedTuple):
    """What a filter chooses of a column."""

    column: str
    values: list[str] | None
    """The values that fit; None if they are numbers, or too many."""
    template: str
    """A condition in SQL, with ``{0}`` for the column."""
    parameters: list[Any]

    def condition(self, sign: str = "") -> tuple[str, list[Any]]:
        """A condition on rows, with its parameters. The sign ``+`` keeps SQLite from looking for an
        index on the column."""
        column = f"{sign}{self.column}"
        if self.values is None:
            return self.template.format(column), self.parameters
        listed = json.dumps(self.values)
        return f"{column} IN (SELECT value FROM json_each(?))", [listed]

    @property
    def is_indexed(self) -> bool:
        """Whether an index gives the rows that it chooses."""
        return self.values is not None or self.column not in _INDEX_OF


def choice_steps(query: Query, most: int = MOST_VALUES) -> Steps[list[Choice]]:
    """What the filters of ``query`` choose, each of another column. If there are more than ``most``
    values to look at, they are not named."""
    choices = []
    if query.cwds is not None or query.folders or query.projects:
        choices.append((yield from _folder_steps(query, most)))
    for column, patterns in (("model", query.models), ("git_branch", query.branches)):
        if patterns:
            choices.append((yield from _pattern_steps(column, patterns, most)))
    for column, least in (("tokens_used", query.min_tokens), ("size_bytes", query.min_size)):
        if least > 0:
            choices.append(Choice(column, None, "{0} >= ?", [least]))
    return choices


def rare_steps(choices: Sequence[Choice]) -> Steps[list[int] | None]:
    """The rows that one of ``choices`` leaves, that with the fewest; None if each leaves many."""
    fewest: list[int] | None = None
    for choice in choices:
        if not choice.is_indexed:
            continue
        condition, parameters = choice.condition()
        rows = yield (
            f"SELECT row_id FROM threads WHERE {condition} LIMIT ?",
            [*parameters, MOST_RARE + 1],
        )
        if len(rows) <= MOST_RARE and (fewest is None or len(rows) < len(fewest)):
            fewest = [row_id for (row_id,) in rows]
    return fewest


def matches_pattern(text: str | None, patterns: Iterable[str]) -> bool:
    """Whether ``text`` is one of ``patterns``, in which ``*`` stands for any text."""
    return text is not None and any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
        for pattern in patterns
    )


def pattern_condition(column: str, patterns: Sequence[str]) -> tuple[str, list[str]]:
    """The same as a condition in SQL, with its parameters."""
    globs = [re.sub(r"[?\[]", r"[\g<0>]", storable_text(pattern)) for pattern in patterns]
    return f"({' OR '.join([f'{column} GLOB ?'] * len(globs))})", globs


def _pattern_steps(column: str, patterns: Sequence[str], most: int) -> Steps[Choice]:
    values: list[str] | None = sorted({*patterns})
    if any("*" in pattern for pattern in patterns):
        heads = [pattern.partition("*") for pattern in patterns]
        ranges = [(head, head + (LAST_TEXT if star else "\0")) for head, star, _ in heads]
        values = yield from _fitting(column, ranges, lambda v: matches_pattern(v, patterns), most)
    return Choice(column, values, *pattern_condition("{0}", patterns))


def similar_steps(column: str, given: Sequence[str]) -> Steps[list[str]]:
    """Values of a column that hold one of the ``given`` texts, if none is one of them."""
    texts = [text.strip("*").lower() for text in given if len(text) > 2]
    values = yield from _fitting(
        column, [("", LAST_TEXT)], lambda value: any(text in value.lower() for text in texts)
    )
    known = (values or []) if given else []
    return [] if any(matches_pattern(value, given) for value in known) else known


def _folder_steps(query: Query, most: int) -> Steps[Choice]:
    aliases = dict((yield (ALIASES_SQL, [])))
    roots = tree_roots([each for given in query.folders for each in spellings(given)], aliases)

    def fits(key: str) -> bool:
        return not query.folders or any(is_below(key, root) for root in roots)

    keys = None
    if query.cwds is not None:
        keys = origins([each for given in query.cwds for each in spellings(given)], aliases)
    if query.projects:
        from state.query.projects import projects_steps

        named = (yield from projects_steps(query.projects)).chosen(query.projects)
        keys = named if keys is None else [*filter({*named}.__contains__, keys)]
    if keys is not None:
        return Choice("cwd_key", [*filter(fits, keys)], "", [])
    ranges = [each for root in roots for each in _tree(root)]
    values = yield from _fitting("cwd_key", ranges, fits, most)
    condition = " OR ".join(["({0} >= ? AND {0} < ?)"] * len(ranges))
    return Choice("cwd_key", values, f"({condition})", [end for each in ranges for end in each])


def _tree(root: str) -> list[_Range]:
    """The keys of a folder, and of those below it."""
    stem = root.rstrip("/")
    return [(root, f"{root}\0"), (f"{stem}/", f"{stem}0")]  # 0 is what follows / in Unicode


def _fitting(
    column: str, ranges: Sequence[_Range], fits: Callable[[str], bool], most: int = MOST_VALUES
) -> Steps[list[str] | None]:
    """The values in these ranges that fit; None if there are too many to look at."""
    indexed = yield from has_indexes_steps(_INDEX_OF[column])
    found: set[str] = set()
    left = most
    for begin, end in ranges:
        if indexed:
            values = yield from different_steps(column, begin, end, left + 1)
        else:
            rows = yield _DISTINCT.format(column), [begin, end, left + 1]
            values = [value for (value,) in rows]
        left -= len(values)
        if left < 0:
            return None
        found.update(filter(fits, values))
    return sorted(found)


_DISTINCT: Final = "SELECT DISTINCT {0} FROM threads WHERE {0} >= ? AND {0} < ? LIMIT ?"
"""While a first backfill has no index yet."""


def facets_steps(query: Query) -> "Steps[list[str]]":
    """The facets in this index that match the query, found by skipping from one to the next."""
    hidden = (not shows_empty(query)) + (not shows_attached(query))
    flags = f"{query.archived:d}{'0' * hidden}"
    end = flags[:-1] + chr(ord(flags[-1]) + 1)
    values = yield from different_steps("facet", flags, end)
    return [value for value in values if fits(query, Facet.decode(value))]


def fits(query: Query, facet: Facet) -> bool:
    """Whether the list of ``query`` shows threads of this facet."""
    return (
        facet.archived == query.archived
        and (not facet.empty or shows_empty(query))
        and (not facet.attached or shows_attached(query))
        and (not query.providers or facet.provider in query.providers)
        and source_fits(query, facet)
    )


def reason_of(query: Query, facet: Facet) -> Reason | None:
    """Whether the list of ``query`` has the threads of a facet, or which of its defaults hides them
    alone; None if they are not meant at all."""
    if fits(query, facet):
        return "listed"
    if query.providers and facet.provider not in query.providers:
        return None
    wanted_source = source_fits(query, facet)
    if facet.archived != query.archived:
        # Asking for the archive is a choice: active threads are not hidden then.
        hidden = wanted_source and not query.archived and not facet.empty
        return "archived" if hidden else None
    if facet.empty and not shows_empty(query):
        return "empty"
    if not wanted_source:
        return None if query.source_kinds else "source"
    return "attached" if facet.attached and not shows_attached(query) else None


def shows_empty(query: Query) -> bool:
    """Whether the list has threads with neither a message nor a name."""
    return bool(query.parent_id or query.ancestor_id)  # as Codex does


def shows_attached(query: Query) -> bool:
    """Whether the list has side threads that belong to another one."""
    return bool(query.attached or query.all_sources or query.parent_id or query.ancestor_id)


def source_fits(query: Query, facet: Facet) -> bool:
    """Whether the list has threads of the source of ``facet``."""
    if query.source_kinds:
        return facet.kind in kinds_selected(list(query.source_kinds))
    lineage = query.parent_id or query.ancestor_id  # children are listed without naming kinds
    return bool(query.all_sources or lineage or facet.kind in kinds_selected([]))
