"""Check parents, forks and spawned threads."""

import sqlite3
from collections.abc import Iterator

import orjson

from rollout.files.layout import parse_uuid
from rollout.schema.session_source import thread_spawn
from state.checks.findings import Finding
from state.checks.model import KINDS, IndexState


def lineage_findings(index: IndexState, row: sqlite3.Row) -> Iterator[Finding]:
    thread_id, path = row["id"], row["rollout_path"]
    parent, source = row["parent_thread_id"], row["forked_from_id"]
    if parent and parent not in index.threads:
        message = f"The parent {parent} is not here."
        yield Finding(KINDS["parent_elsewhere"], message, thread_id, path)
    if row["history_base"]:
        try:
            base = orjson.loads(row["history_base"])
        except orjson.JSONDecodeError:
            base = None
        base_id = parse_uuid(base.get("thread_id")) if isinstance(base, dict) else None
        if base_id is None or base_id not in index.rollout_ids:
            message = (
                f"The history begins in {base_id or 'a thread without an id'}, which is not here."
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
            yield Finding(
                KINDS["edge_differs"],
                "The edge of this thread does not match the parent in its row.",
                thread_id=child,
                measured=edges.get(child),
                expected=expected.get(child),
            )
