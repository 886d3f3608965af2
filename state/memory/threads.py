"""The threads of a store in memory: how they hang together, and which of them a list shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout.files.layout import parse_uuid
from rollout.history.segments import SplicedSource, history_parts
from rollout.jsonl.sources import MemorySource, RolloutSource
from rollout.metadata.model import BEGINS_ELSEWHERE
from rollout.schema.session_source import thread_spawn
from state.db.derived_columns import Facet, searchable
from state.edit.lineage import LineageNode, with_descendants
from state.errors import HasDependents, ThreadNotFound
from state.memory.thread import MemoryThread
from state.query.choices import fits, matches_pattern
from state.query.listing import page_of
from state.query.model import Page, Query
from state.query.projects import Origin, Projects
from state.query.rows import COLUMNS, Row
from state.recording.resume import begins_elsewhere
from state.rows.openings import base_id, show_opening
from state.userdata.folders import cwd_key, is_below, spellings


class MemoryThreads(dict[str, MemoryThread]):
    """The threads by id, but for new ones that have no content yet. One that is missing raises
    :class:`state.errors.ThreadNotFound`."""

    def __missing__(self, thread_id: str) -> MemoryThread:
        raise ThreadNotFound(thread_id)

    def find(self, rollout_id: str) -> Path | None:
        """The rollout of an id, for a history that begins in it."""
        thread = self.get(rollout_id)
        return thread.rollout if thread else None

    def history(self, thread: MemoryThread, own: MemorySource) -> RolloutSource:
        """All that a thread holds: ``own``, after what its history begins with."""
        if not begins_elsewhere(own):
            return own
        bases: list[tuple[RolloutSource, int]] = []
        for part in history_parts(thread.rollout, self.find)[:-1]:
            base = MemorySource(self[part.rollout_id].items())
            end = part.end_ordinal
            behind = (at for at, item in base.items() if end is not None and item["ordinal"] >= end)
            bases.append((base, next(behind, len(base))))
        return SplicedSource(bases, own)

    def lineage(self) -> dict[str, LineageNode]:
        """Every thread with what it has spawned."""
        nodes = {id_: LineageNode(thread.archived, 0) for id_, thread in self.items()}
        for child, parent in sorted(self._parents().items()):
            if parent in nodes:
                nodes[parent].spawned.append(child)
        return nodes

    def check_independent(self, thread_id: str, leaving: Sequence[str]) -> None:
        """Return if no other thread depends on those that are ``leaving`` with ``thread_id``.
        Raises HasDependents if one does."""
        for other in self.values():
            if other.id in leaving:
                continue
            row = other.row()
            if base_id(row["history_base"] or "") in leaving:
                raise HasDependents(thread_id, other.id, "continues its history")
            if row["attached_thread_parent_id"] in leaving:
                raise HasDependents(thread_id, other.id, "is attached to it")

    def listed(self, thread: MemoryThread) -> Row:
        """The columns of a list."""
        return _columns(self._shown(thread))

    def page(self, query: Query) -> Page:
        """A page of a list; see :func:`state.query.listing.page_steps`."""
        place = query.decoded_cursor()
        key = f"{query.sort_key}_ms"
        rows = {row["id"]: row for row in self._selected(query)}
        found = sorted(((row[key], id_, 0) for id_, row in rows.items()), reverse=query.descending)
        if place is not None:
            at = (place.key_ms, place.thread_id, 0)
            found = [each for each in found if (each < at) == query.descending and each != at]
        more = found[: query.limit + 1]
        return page_of(query, more, {id_: _columns(rows[id_]) for _, id_, _ in more})

    def _selected(self, query: Query) -> Iterator[Row]:
        descendants = self._descendants(query)
        chosen = _chooser(query, self._projects() if query.projects else None)
        excluded = {parse_uuid(id_) for id_ in query.excluded_ids}
        included = None
        if query.included_ids is not None:
            included = {parse_uuid(id_) for id_ in query.included_ids}
        for row in map(self._shown, self.values()):
            if (
                fits(query, Facet.decode(row["facet"]))
                and (descendants is None or row["id"] in descendants)
                and chosen(row)
                and row["id"] not in excluded
                and (included is None or row["id"] in included)
                and all(searchable(term) in row["search_text"] for term in query.terms)
                and not any(searchable(term) in row["search_text"] for term in query.without)
            ):
                yield row

    def _projects(self) -> Projects:
        newest: dict[str, Origin | None] = {}
        for thread in self.values():
            row = thread.row()
            key, url = row["cwd_key"], row["git_origin_url"]
            origin = (row["created_at_ms"], url) if url else None
            newest[key] = max(filter(None, (newest.get(key), origin)), default=None)
        return Projects(newest)

    def _descendants(self, query: Query) -> set[str] | None:
        """The threads that the query's one has spawned; None if it names none."""
        wanted = parse_uuid(query.parent_id or query.ancestor_id)
        if wanted is None:
            return None
        nodes = self.lineage()
        if wanted not in nodes:
            return {id_ for id_, parent in self._parents().items() if parent == wanted}
        spawned = nodes[wanted].spawned if query.parent_id else with_descendants(wanted, nodes)[1:]
        return set(spawned)

    def _parents(self) -> dict[str, str]:
        rows = [thread.row() for thread in self.values()]
        return {
            row["id"]: row["parent_thread_id"]
            for row in rows
            if row["parent_thread_id"] and thread_spawn(row["source"]) is not None
        }

    def _shown(self, thread: MemoryThread) -> dict[str, Any]:
        """The row of a thread, with the opening of the thread that its history begins in."""
        row = base = thread.row()
        seen: set[str] = set()
        while base["flags"] & BEGINS_ELSEWHERE and base["id"] not in seen:
            seen.add(base["id"])
            source = self.get(base_id(base["history_base"]) or "")
            if source is None:
                break
            base = source.row()
        if seen:
            row = dict(row)
            show_opening(row, str(base["preview"]))
        return row


def _columns(row: Mapping[str, Any]) -> Row:
    return {name: row[name] for name in COLUMNS.split(", ")}


def _chooser(query: Query, projects: Projects | None) -> Callable[[Row], bool]:
    """Whether the filters of ``query`` choose what a row has in its columns."""
    named = None if projects is None else {*projects.chosen(query.projects)}
    exact, roots = (
        [cwd_key(each) for folder in folders for each in spellings(folder)]
        for folders in (query.cwds or (), query.folders)
    )
    key = f"{query.sort_key}_ms"

    def chosen(row: Row) -> bool:
        folder = row["cwd_key"]
        return (
            (query.cwds is None or folder in exact)
            and (not query.folders or any(is_below(folder, root) for root in roots))
            and (named is None or folder in named)
            and (not query.models or matches_pattern(row["model"], query.models))
            and (not query.branches or matches_pattern(row["git_branch"], query.branches))
            and not (query.tags or query.pinned or query.statuses)  # which threads here never have
            and row["tokens_used"] >= query.min_tokens
            and row["size_bytes"] >= query.min_size
            and (query.since_ms is None or row[key] >= query.since_ms)
            and (query.until_ms is None or row[key] < query.until_ms)
        )

    return chosen
