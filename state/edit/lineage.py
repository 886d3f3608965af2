"""Which threads go with a thread when its files are moved, and which depend on it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from rollout.files.layout import parse_name, thread_id_in_name
from rollout.files.move import Move
from rollout.files.stamp import FileStamp
from rollout.files.trash import TrashRecord
from rollout.metadata.extract import extract_file
from rollout.metadata.outcomes import Extracted
from state.db.sql import AMONG, listed
from state.db.steps import Steps
from state.query.thread_json import display_name, display_text
from state.rows.openings import base_id
from state.thread_index import ThreadIndex

_LONGEST_TITLE: Final = 300
_READ_TOGETHER: Final = 1000


@dataclass(slots=True)
class LineageNode:
    """A thread in the index."""

    archived: bool
    created_at_ms: int
    files: dict[str, int] = field(default_factory=dict)
    """The sizes of all its files by their paths, also of unreadable ones that have its id in their
    name."""
    spawned: list[str] = field(default_factory=list)


def read_threads_steps(thread_ids: Sequence[str]) -> Steps[dict[str, LineageNode]]:
    """Threads with all that they have spawned, if they are in the index."""
    # UNION, not UNION ALL: the lineage in damaged files may have circles.
    kin = yield (
        "WITH RECURSIVE kin (id) AS (SELECT value FROM json_each(?) UNION SELECT e.child_thread_id"
        " FROM kin k JOIN thread_spawn_edges e ON e.parent_thread_id = k.id)"
        " SELECT t.id, t.archived, t.created_at_ms FROM kin JOIN threads t ON t.id = kin.id",
        [listed(thread_ids)],
    )
    found = {id_: LineageNode(bool(archived), created) for id_, archived, created in kin}
    spawned = (
        "SELECT parent_thread_id, child_thread_id FROM thread_spawn_edges"
        f" WHERE parent_thread_id {AMONG} ORDER BY child_thread_id"
    )
    for parent, child in (yield spawned, [listed(found)]):
        found[parent].spawned.append(child)
    own = (
        "SELECT path, thread_id, size_bytes FROM rollout_files"
        f" WHERE thread_id {AMONG} ORDER BY path"
    )
    for path, thread_id, size in (yield own, [listed(found)]):
        found[thread_id].files[path] = size
    unreadable = (
        "SELECT path, size_bytes FROM rollout_files"
        " WHERE bucket = 'unreadable' AND bucket <> 'indexed' ORDER BY path"
    )
    for path, size in (yield unreadable, []):
        thread_id = thread_id_in_name(path)
        if thread_id in found:
            found[thread_id].files[path] = size
    return found


async def trash_records(
    index: ThreadIndex, thread_ids: Sequence[str], dependencies: Iterable["Dependency"]
) -> dict[str, TrashRecord]:
    """What the trash notes of threads, by id."""
    needs: defaultdict[str, list[str]] = defaultdict(list)
    for each in dependencies:
        needs[each.thread_id].append(each.what)
    parents = await index.database.query(_parents_steps(thread_ids))
    rows = await index.rows_of(thread_ids)
    return {
        id_: TrashRecord(
            id_,
            title=(display_name(row) or display_text(row))[:_LONGEST_TITLE],
            cwd=row["cwd"],
            created_at_ms=row["created_at_ms"],
            recency_at_ms=row["recency_at_ms"],
            parent_id=parents.get(id_),
            needs=tuple(needs[id_]),
        )
        for id_, row in rows.items()
    }


def _parents_steps(thread_ids: Sequence[str]) -> Steps[dict[str, str]]:
    spawned = (
        "SELECT child_thread_id, parent_thread_id FROM thread_spawn_edges"
        f" WHERE child_thread_id {AMONG}"
    )
    return dict((yield spawned, [listed(thread_ids)]))


def with_descendants(thread_id: str, nodes: dict[str, LineageNode]) -> list[str]:
    """A thread and what it has spawned, the deepest last. The lineage in damaged files may have
    circles."""
    members = {thread_id: None}
    waiting = [thread_id]
    for id_ in waiting:
        new = [child for child in nodes[id_].spawned if child in nodes and child not in members]
        members |= dict.fromkeys(new)
        waiting += new
    return waiting


def file_ids(move: Move) -> set[str]:
    """The ids that a dependency on the file may name: its own, as in ``history_base``, or the
    thread's."""
    name = parse_name(move.source)
    return {move.thread_id} | ({name.rollout_id} if name and name.rollout_id else set())


class Dependency(NamedTuple):
    """A thread depends on another one, or on a file of it."""

    thread_id: str
    what: str
    how: str


Segments = dict[tuple[str, FileStamp], tuple[str, str] | None]
"""The thread, and where its history begins, of files that a revert has left behind."""


async def dependencies(index: ThreadIndex, known: Segments) -> list[Dependency]:
    """The threads and files that threads depend on: where their history begins, and what they are
    attached to. All their files count, also those that a revert has left behind; ``known`` has
    those that were read before, and gets the others."""
    begun, found, segments = await index.database.query(_depending_steps())
    for segment in segments:
        if segment not in known:
            outcome = await index.database.workers.run(
                partial(extract_file, index.home, segment[0])
            )
            extracted = isinstance(outcome, Extracted) and outcome.metadata
            text = extracted and extracted.history_base
            known[segment] = (extracted.id, text) if extracted and text else None
        if (beginning := known[segment]) is not None:
            begun.append(beginning)
    for thread_id, text in begun:
        begins_in = base_id(text)
        if begins_in:
            found.append(Dependency(thread_id, begins_in, "continues its history"))
    return found


def _depending_steps() -> Steps[
    tuple[list[tuple[str, str]], list[Dependency], list[tuple[str, FileStamp]]]
]:
    """Where threads begin, what they are attached to, and the files that a revert has left."""
    column = "SELECT id, {0} FROM threads WHERE {0} NOT NULL ORDER BY id"
    begun = yield column.format("history_base"), []
    attached = yield column.format("attached_thread_parent_id"), []
    left = yield (
        "SELECT path, size_bytes, mtime_ns, inode FROM rollout_files"
        " WHERE bucket = 'segment' AND bucket <> 'indexed'",
        [],
    )
    found = [Dependency(id_, to, "is attached to it") for id_, to in attached]
    return begun, found, [(path, FileStamp(*stamp)) for path, *stamp in left]


async def dependents_first(
    index: ThreadIndex, thread_ids: Sequence[str], known: Segments
) -> list[str]:
    """The threads in such an order that each comes after those that depend on it."""
    asked = dict.fromkeys(thread_ids)
    needed = [each for each in await dependencies(index, known) if each.thread_id in asked]
    owners = await _owners(index, [*asked], {each.what for each in needed})
    dependents: defaultdict[str, list[str]] = defaultdict(list)
    for each in needed:
        if owner := owners.get(each.what):
            dependents[owner].append(each.thread_id)
    ordered: dict[str, None] = {}
    seen: set[str] = set()
    for start in asked:
        waiting = [start]
        while waiting:  # no recursion: chains may be deeper than Python's stack
            id_ = waiting[-1]
            if id_ in seen or id_ in ordered:
                ordered[waiting.pop()] = None
            else:
                seen.add(id_)
                waiting += [other for other in dependents[id_] if other not in seen]
    return list(ordered)


async def _owners(index: ThreadIndex, thread_ids: list[str], wanted: set[str]) -> dict[str, str]:
    """The threads that have files with one of the ids ``wanted`` in their names, by these ids."""
    owners: dict[str, str] = {}
    for start in range(0, len(thread_ids) if wanted else 0, _READ_TOGETHER):
        some = thread_ids[start : start + _READ_TOGETHER]
        owners |= {id_: id_ for id_ in some if id_ in wanted}
        nodes = await index.database.query(read_threads_steps(some))
        for id_ in some:
            for path in nodes[id_].files if id_ in nodes else ():
                owners |= dict.fromkeys(file_ids(Move(id_, path, path)) & wanted, id_)
    return owners
