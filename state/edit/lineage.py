"""Which threads go with a thread when its files are moved, and which depend on it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.layout import parse_name, thread_id_in_name
from rollout.files.move import Move
from rollout.metadata.extract import extract_file
from rollout.metadata.outcomes import Extracted
from state.db.schema import rollout_files, thread_spawn_edges, threads
from state.db.sql import among
from state.sync.openings import base_id
from state.thread_index import ThreadIndex


@dataclass(slots=True)
class LineageNode:
    """A thread in the index."""

    archived: bool
    created_at_ms: int
    files: list[str] = field(default_factory=list)
    """All of its files, also unreadable ones that have its id in their name."""
    spawned: list[str] = field(default_factory=list)


async def read_threads(
    connection: AsyncConnection, thread_ids: Sequence[str]
) -> dict[str, LineageNode]:
    """Threads with all that they have spawned, if they are in the index."""
    edge, c, f = thread_spawn_edges.c, threads.c, rollout_files.c
    # UNION, not UNION ALL: the lineage in damaged files may have circles.
    every = await connection.exec_driver_sql(
        "WITH RECURSIVE kin (id) AS (SELECT value FROM json_each(?) UNION SELECT e.child_thread_id"
        " FROM kin k JOIN thread_spawn_edges e ON e.parent_thread_id = k.id) SELECT id FROM kin",
        (orjson.dumps(list(thread_ids)).decode(),),
    )
    kin = [id_ for (id_,) in every]
    chosen = sa.select(c.id, c.archived, c.created_at_ms).where(among(c.id, kin))
    found = {
        row.id: LineageNode(bool(row.archived), row.created_at_ms)
        for row in await connection.execute(chosen)
    }
    spawned = sa.select(edge.parent_thread_id, edge.child_thread_id).where(
        among(edge.parent_thread_id, found)
    )
    for parent, child in await connection.execute(spawned.order_by(edge.child_thread_id)):
        found[parent].spawned.append(child)
    own = sa.select(f.path, f.thread_id).where(among(f.thread_id, found))
    for path, thread_id in await connection.execute(own.order_by(f.path)):
        found[thread_id].files.append(path)
    unreadable = sa.select(f.path).where(f.bucket == "unreadable").order_by(f.path)
    for path in await connection.scalars(unreadable):
        thread_id = thread_id_in_name(path)
        if thread_id in found:
            found[thread_id].files.append(path)
    return found


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


async def dependencies(index: ThreadIndex) -> list[Dependency]:
    """The threads and files that threads depend on: where their history begins, and what they are
    attached to. All their files count, also those that a revert has left behind."""
    c, f = threads.c, rollout_files.c
    base, side = c.history_base, c.attached_thread_parent_id
    async with index.database.read() as connection:
        forked = sa.select(c.id, base).where(base.is_not(None)).order_by(c.id)
        begun = [(row.id, row.history_base) for row in await connection.execute(forked)]
        attached = sa.select(c.id, side).where(side.is_not(None)).order_by(c.id)
        found = [
            Dependency(*row, "is attached to it") for row in await connection.execute(attached)
        ]
        segments = list(await connection.scalars(sa.select(f.path).where(f.bucket == "segment")))
    for path in segments:
        outcome = await index.database.workers.run(partial(extract_file, index.home, path))
        if isinstance(outcome, Extracted) and outcome.metadata.history_base:
            begun.append((outcome.metadata.id, outcome.metadata.history_base))
    for thread_id, text in begun:
        begins_in = base_id(text)
        if begins_in:
            found.append(Dependency(thread_id, begins_in, "has its history begin in it"))
    return found


async def dependents_first(index: ThreadIndex, thread_ids: Sequence[str]) -> list[str]:
    """The threads in such an order that each comes after those that depend on it."""
    async with index.database.read() as connection:
        nodes = await read_threads(connection, thread_ids)
    asked = dict.fromkeys(thread_ids)
    owners = {id_: id_ for id_ in asked}
    for id_ in asked:
        for path in nodes[id_].files if id_ in nodes else ():
            owners |= dict.fromkeys(file_ids(Move(id_, path, path)), id_)
    dependents: defaultdict[str, list[str]] = defaultdict(list)
    for each in await dependencies(index):
        if each.thread_id in asked and (owner := owners.get(each.what)):
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
