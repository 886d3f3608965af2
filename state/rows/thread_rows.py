"""Make rows of ``threads`` from extracted metadata, and write them."""

import sqlite3
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

from rollout.files.layout import is_archived, parse_name
from rollout.jsonl.parse import BadLine
from rollout.metadata import model
from rollout.metadata.outcomes import EarlierMetadata, Extracted
from rollout.metadata.version import EXTRACTOR_VERSION
from rollout.schema.modes import PAGINATED
from rollout.schema.session_source import source_kind, thread_spawn
from rollout.usage.file import stored_usage
from state.db.derived_columns import Facet, searchable
from state.db.sql import AMONG, Put, dicts, listed
from state.rows.resume_points import (
    FULLTEXT,
    METADATA,
    TURNS,
    forget_resume_points,
    load_resume_points,
    put_resume_points,
)
from state.rows.usage_rows import FIELDS
from state.userdata.folders import cwd_key
from state.userdata.model import USER_SET_COLUMNS

_UPSERT: Final = Put("threads", "row_id", "history_mode", key="id")
"""``history_mode`` is never set again: a file whose mode has changed is another thread's row."""
_INSERT_TOOL: Final = (
    "INSERT INTO thread_dynamic_tools"
    f" (thread_id, position, {', '.join(model.ToolMetadata._fields)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_UPSERT_EDGE: Final = (
    "INSERT INTO thread_spawn_edges (child_thread_id, parent_thread_id) VALUES (?, ?) ON CONFLICT"
    " (child_thread_id) DO UPDATE SET parent_thread_id = excluded.parent_thread_id"
)
_EXISTING: Final = (
    "SELECT id, row_id, rollout_path, size_bytes, history_mode, search_text, extractor_version,"
    f" preview, flags FROM threads WHERE id {AMONG}"
)
_NAMED: Final = (
    "SELECT id, row_id, name, title, preview, fallback_preview, search_text, archived,"
    f" attached_thread_parent_id, source_kind, model_provider FROM threads WHERE id {AMONG}"
)
_UNNAMED: Final = f"flags & {model.SEEN_PROVIDER} = 0 AND model_provider <> ?1"
_FORGET_TURNS: Final = (
    f"DELETE FROM turn_checkpoints WHERE thread_id IN (SELECT id FROM threads WHERE row_id {AMONG})"
)
_NOTE_PENDING: Final = (
    f"INSERT OR IGNORE INTO fulltext_pending SELECT row_id FROM threads WHERE row_id {AMONG}"
)
_EARLIER: Final = (
    f"SELECT t.row_id, t.rollout_path, {', '.join(f't.{name}' for name in model.METADATA_NAMES)},"
    " f.bad_lines, f.reason, f.reason_offset, f.left_out, f.left_out_at,"
    f" {', '.join(f'u.{name}' for name in FIELDS)} FROM rollout_files f"
    " JOIN threads t ON t.rollout_path = f.path AND t.id = f.thread_id"
    f" JOIN file_usage u ON u.path = f.path WHERE f.path {AMONG}"
    f" AND t.extractor_version = {EXTRACTOR_VERSION}"
)


def thread_row(
    file: Extracted,
    name: str | None,
    default_provider: str,
    overrides: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The row of the thread that ``file`` holds.

    ``default_provider`` stands in where the rollout names none;
    ``overrides`` is what the user set, by key of :data:`USER_SET_COLUMNS`.
    """
    metadata = file.metadata
    shown = model.complete_metadata(metadata)
    row: dict[str, Any] = dict(zip(model.METADATA_NAMES, model.metadata_values(shown), strict=True))
    archived = is_archived(file.path)
    updated_ms = file.stamp.mtime_ns // 1_000_000
    row |= {
        "rollout_path": file.path,
        "updated_at_ms": updated_ms,
        "source_kind": source_kind(metadata.source),
        "model_provider": metadata.model_provider or default_provider,
        "cwd_key": cwd_key(metadata.cwd),
        "name": name,
        "search_text": search_text(name, shown.title, shown.preview or shown.fallback_preview),
        "archived": int(archived),
        "archived_at": updated_ms // 1000 if archived else None,
        "size_bytes": file.stamp.size,
        "mtime_ns": file.stamp.mtime_ns,
        "inode": file.stamp.inode,
        "extractor_version": file.extractor,
    }
    if overrides and metadata.history_mode == PAGINATED:
        row |= {key: overrides[key] or None for key in USER_SET_COLUMNS if key in overrides}
    if _begins_elsewhere(file.path, metadata):
        row["flags"] |= model.BEGINS_ELSEWHERE
    row["facet"] = Facet.of(row).encode()
    return row


def _begins_elsewhere(path: str, metadata: model.ThreadMetadata) -> bool:
    """Whether a thread without messages in its file may show those of another: after a revert, or
    as a fork. A side thread or a spawned one does not own the beginning of its history."""
    if (
        metadata.preview
        or metadata.attached_thread_parent_id
        or thread_spawn(metadata.source) is not None
    ):
        return False
    name = parse_name(path)
    reverted = name is not None and name.rollout_id != name.thread_id
    return metadata.history_base is not None or reverted


def search_text(name: str | None, title: str, preview: str) -> str:
    """The text of a title search: name, title and preview, each once, case-folded."""
    parts = dict.fromkeys(part for part in (name, title, preview) if part)
    return searchable("\n".join(parts))[: model.LONGEST_TEXT]


def existing(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The columns of existing rows that a write needs, by thread id."""
    return {row["id"]: row for row in dicts(connection.execute(_EXISTING, [listed(ids)]))}


def upsert(
    connection: sqlite3.Connection,
    files: Sequence[tuple[Extracted, dict[str, Any]]],
    before: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write rows, each thread once, with their tools, edges and titles.

    ``before`` are the rows that :func:`existing` gave for them.
    """
    replaced = [
        row["id"]
        for _, row in files
        if row["id"] in before and before[row["id"]]["history_mode"] != row["history_mode"]
    ]
    # Such a file was rewritten, as Codex's migrate-rollouts does: it gets a new row.
    delete(connection, replaced)
    kept = {id_: row for id_, row in before.items() if id_ not in replaced}
    values = [row for _, row in files]
    # Numbered here, under the write lock, because the title index needs the number.
    (last,) = connection.execute("SELECT coalesce(max(row_id), 0) FROM threads").fetchone()
    for number, row in enumerate(values, last + 1):
        row["row_id"] = kept[row["id"]]["row_id"] if row["id"] in kept else number
    _UPSERT.rows(connection, values)
    put_resume_points(
        connection, METADATA, ((row["row_id"], 0, file.resume) for file, row in files)
    )
    _write_tools(connection, [file for file, _ in files if file.tools is not None], kept)
    edges = [edge for file, _ in files if (edge := _edge(file.metadata))]
    connection.executemany(_UPSERT_EDGE, edges)
    texts = {id_: row["search_text"] for id_, row in kept.items()}
    changed = [row for row in values if texts.get(row["id"]) != row["search_text"]]
    forget_titles(connection, [kept[row["id"]] for row in changed if row["id"] in kept])
    write_titles(connection, changed)


def _edge(metadata: model.ThreadMetadata) -> tuple[str, str] | None:
    """Only ``thread_spawn`` makes an edge; a review's parent is known but makes none."""
    if metadata.parent_thread_id and thread_spawn(metadata.source) is not None:
        return metadata.id, metadata.parent_thread_id
    return None


def _write_tools(
    connection: sqlite3.Connection, wholly: Sequence[Extracted], before: Container[str]
) -> None:
    """Write the tools of files that were read whole. Earlier ones are deleted first, as no update
    is allowed."""
    known = [(file.metadata.id,) for file in wholly if file.metadata.id in before]
    connection.executemany("DELETE FROM thread_dynamic_tools WHERE thread_id = ?", known)
    values = [
        (file.metadata.id, position, *tool)
        for file in wholly
        for position, tool in enumerate(file.tools or ())
    ]
    connection.executemany(_INSERT_TOOL, values)


def delete(connection: sqlite3.Connection, ids: Sequence[str]) -> int:
    """Delete rows with all that depends on them: how many there were."""
    if not ids:
        return 0
    found = existing(connection, ids)
    forget_titles(connection, found.values())
    for table, key in (("threads", "id"), ("thread_spawn_edges", "child_thread_id")):
        connection.execute(f"DELETE FROM {table} WHERE {key} {AMONG}", [listed(ids)])
    return len(found)


def invalidate_readings(connection: sqlite3.Connection, row_ids: Sequence[int]) -> None:
    """Have the messages and turns of threads read whole again."""
    if row_ids:
        connection.execute(_FORGET_TURNS, [listed(row_ids)])
        forget_resume_points(connection, (FULLTEXT, TURNS), row_ids)
        connection.execute(_NOTE_PENDING, [listed(row_ids)])


def rename(connection: sqlite3.Connection, names: Mapping[str, str | None]) -> None:
    """Set the names of existing rows, and the columns that depend on them."""
    found = dicts(connection.execute(_NAMED, [listed(names)]))
    changed = [row for row in found if row["name"] != names[row["id"]]]
    forget_titles(connection, changed)
    for row in changed:
        row["name"] = names[row["id"]]
        preview = row["preview"] or row["fallback_preview"]
        row["search_text"] = search_text(row["name"], row["title"], preview)
        row["facet"] = Facet.of(row).encode()
    connection.executemany(
        "UPDATE threads SET name = ?, search_text = ?, facet = ? WHERE id = ?",
        [(row["name"], row["search_text"], row["facet"], row["id"]) for row in changed],
    )
    write_titles(connection, changed)


def written_provider(row: Mapping[str, Any]) -> str | None:
    """The provider that a thread's rollout names; None if it names none, and the row has the
    default."""
    return row["model_provider"] if row["flags"] & model.SEEN_PROVIDER else None


def set_default_provider(connection: sqlite3.Connection, provider: str) -> None:
    """Set the provider of threads whose rollout names none."""
    facets = connection.execute(f"SELECT DISTINCT facet FROM threads WHERE {_UNNAMED}", [provider])
    for (facet,) in facets.fetchall():
        other = Facet.decode(facet)._replace(provider=provider).encode()
        connection.execute(
            f"UPDATE threads SET model_provider = ?2, facet = ?3 WHERE {_UNNAMED} AND facet = ?4",
            [provider, provider, other, facet],
        )


def forget_titles(connection: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Take rows out of the title index, which needs the text that it had indexed."""
    connection.executemany(
        "INSERT INTO thread_titles (thread_titles, rowid, search_text) VALUES ('delete', ?, ?)",
        [(row["row_id"], row["search_text"]) for row in rows],
    )


def write_titles(connection: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put rows into the title index."""
    # Not by a trigger, which costs five times as much (measured): FTS5 flushes at the end of each
    # statement that fires one.
    connection.executemany(
        "INSERT INTO thread_titles (rowid, search_text) VALUES (?, ?)",
        [(row["row_id"], row["search_text"]) for row in rows],
    )


def build_titles(connection: sqlite3.Connection) -> None:
    """Make the title index from the rows of all threads."""
    connection.execute("INSERT INTO thread_titles (thread_titles) VALUES ('rebuild')")


def earlier_extractions(
    connection: sqlite3.Connection, paths: Mapping[str, str]
) -> dict[str, EarlierMetadata]:
    """What the last pass over files gave, by path, so that the next one can continue there.

    ``paths`` maps each path to the one that the ledger has, which is another if the file was
    moved.
    """
    wanted = {old: new for new, old in paths.items()}
    found: dict[str, EarlierMetadata] = {}
    known = dicts(connection.execute(_EARLIER, [listed(wanted)]))
    points = load_resume_points(connection, METADATA, [row["row_id"] for row in known])
    for row in known:
        resume = points.get(row["row_id"])
        if resume is None or not resume.guard:
            continue
        usage = stored_usage(*(row[name] for name in FIELDS))
        if usage is None:
            continue
        metadata = model.ThreadMetadata(**{name: row[name] for name in model.METADATA_NAMES})
        if not metadata.flags & model.SEEN_PROVIDER:
            metadata.model_provider = None  # the row shows the default of its time
        if metadata.flags & model.BEGINS_ELSEWHERE:
            metadata.preview = ""  # the row shows that of another file
            metadata.flags &= ~model.BEGINS_ELSEWHERE
        bad = BadLine(row["reason_offset"] or 0, row["reason"]) if row["reason"] else None
        left_out = row["left_out"], row["left_out_at"]
        found[wanted[row["rollout_path"]]] = EarlierMetadata(
            metadata, resume, row["bad_lines"], bad, *left_out, usage
        )
    return found
