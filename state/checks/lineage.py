"""Check parents, forks and spawned threads."""

import sqlite3
from collections.abc import Iterator

from rollout.schema.session_source import thread_spawn
from state.checks.findings import KINDS, Finding, IndexState, difference
from state.rows.openings import base_id


def lineage_findings(index: IndexState, row: sqlite3.Row) -> Iterator[Finding]:
    thread_id, path = row["id"], row["rollout_path"]
    parent, source = row["parent_thread_id"], row["forked_from_id"]
    if parent and parent not in index.threads:
        message = f"The parent {parent} is not here."
        yield Finding(KINDS["parent_elsewhere"], message, thread_id, path)
    if row["history_base"]:
        base = base_id(row["history_base"])
        if base not in index.bases:
            message = (
                f"The history begins in {base or 'a thread without an id'}, which is not here."
            )
            yield Finding(KINDS["base_elsewhere"], message, thread_id, path)
    elif source and source not in index.threads:
        message = f"It was forked from {source}, which is not here."
        yield Finding(KINDS["fork_elsewhere"], message, thread_id, path)


def edge_findings(index: IndexState) -> Iterator[Finding]:
    """There is one edge for each spawned thread, and no other."""
    found = index.connection.execute(
        "SELECT child_thread_id, parent_thread_id FROM thread_spawn_edges"
    )
    edges = {row[0]: row[1] for row in found}
    expected = {
        thread_id: row["parent_thread_id"]
        for thread_id, row in index.threads.items()
        if row["parent_thread_id"] and thread_spawn(row["source"]) is not None
    }
    for child in sorted(edges.keys() | expected.keys()):
        if edges.get(child) != expected.get(child):
            message = "The edge of this thread does not match the parent in its row."
            there, right = edges.get(child), expected.get(child)
            yield difference(KINDS["edge_differs"], message, child, None, there, right)
