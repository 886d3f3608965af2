"""Make rows of ``threads`` from extracted metadata, and write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.layout import is_archived, parse_name
from rollout.jsonl.parse import BadLine
from rollout.metadata import model
from rollout.metadata.outcomes import EarlierMetadata, Extracted
from rollout.metadata.version import EXTRACTOR_VERSION
from rollout.schema.modes import PAGINATED
from rollout.schema.session_source import source_kind, thread_spawn
from rollout.usage.file import stored_usage
from state.db.derived_columns import Facet, searchable
from state.db.schema import (
    file_usage,
    fulltext_pending,
    rollout_files,
    thread_dynamic_tools,
    thread_spawn_edges,
    threads,
    turn_checkpoints,
)
from state.db.sql import among, execute_many, upsert_statement
from state.sync.resume_points import (
    FULLTEXT,
    METADATA,
    TURNS,
    forget_resume_points,
    load_resume_points,
    put_resume_points,
)
from state.sync.usage_rows import FIELDS
from state.userdata.folders import cwd_key
from state.userdata.model import USER_SET_COLUMNS

_UPSERT: Final = upsert_statement(threads, "row_id", "history_mode", key=threads.c.id)
"""``history_mode`` is never set again: a file whose mode has changed is another thread's row."""
_INSERT_TOOLS: Final = insert(thread_dynamic_tools)
_EDGE: Final = insert(thread_spawn_edges)
_UPSERT_EDGES: Final = _EDGE.on_conflict_do_update(
    index_elements=[thread_spawn_edges.c.child_thread_id],
    set_={"parent_thread_id": _EDGE.excluded.parent_thread_id},
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


async def existing(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The columns of existing rows that a write needs, by thread id."""
    c = threads.c
    columns = (
        *(c.id, c.row_id, c.rollout_path, c.size_bytes, c.history_mode, c.search_text),
        *(c.extractor_version, c.preview, c.flags),
    )
    found = await connection.execute(sa.select(*columns).where(among(c.id, ids)))
    return {row.id: dict(row._mapping) for row in found}


async def upsert(
    connection: AsyncConnection,
    files: Sequence[tuple[Extracted, dict[str, Any]]],
    before: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write rows, each thread once, with their tools, edges and titles.

    ``before`` are the rows that :func:`existing` gave for them.
    """
    if not files:
        return
    replaced = [
        row["id"]
        for _, row in files
        if row["id"] in before and before[row["id"]]["history_mode"] != row["history_mode"]
    ]
    # Such a file was rewritten, as Codex's migrate-rollouts does: it gets a new row.
    await delete(connection, replaced)
    kept = {id_: row for id_, row in before.items() if id_ not in set(replaced)}
    values = [row for _, row in files]
    # Numbered here, under the write lock, because the title index needs the number.
    last = await connection.scalar(sa.select(sa.func.max(threads.c.row_id))) or 0
    for number, row in enumerate(values, last + 1):
        row["row_id"] = kept[row["id"]]["row_id"] if row["id"] in kept else number
    await execute_many(connection, _UPSERT, values)
    points = [(row["row_id"], 0, file.resume) for file, row in files]
    await put_resume_points(connection, METADATA, points)
    await _write_tools(connection, files, kept)
    edges = [edge for file, _ in files if (edge := _edge(file.metadata))]
    if edges:
        await connection.execute(_UPSERT_EDGES, edges)
    texts = {id_: row["search_text"] for id_, row in kept.items()}
    changed = [row for row in values if texts.get(row["id"]) != row["search_text"]]
    await forget_titles(connection, [kept[row["id"]] for row in changed if row["id"] in kept])
    await write_titles(connection, changed)


def _edge(metadata: model.ThreadMetadata) -> dict[str, str] | None:
    """Only ``thread_spawn`` makes an edge; a review's parent is known but makes none."""
    if metadata.parent_thread_id and thread_spawn(metadata.source) is not None:
        return {"child_thread_id": metadata.id, "parent_thread_id": metadata.parent_thread_id}
    return None


async def _write_tools(
    connection: AsyncConnection,
    files: Sequence[tuple[Extracted, dict[str, Any]]],
    before: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the tools of files that were read whole. Earlier ones are deleted first, as no update
    is allowed."""
    wholly = [file for file, _ in files if file.tools is not None]
    known = [file.metadata.id for file in wholly if file.metadata.id in before]
    if known:
        await connection.execute(
            sa.delete(thread_dynamic_tools).where(among(thread_dynamic_tools.c.thread_id, known))
        )
    values = [
        {**tool._asdict(), "thread_id": file.metadata.id, "position": position}
        for file in wholly
        for position, tool in enumerate(file.tools or ())
    ]
    if values:
        await connection.execute(_INSERT_TOOLS, values)


async def delete(connection: AsyncConnection, ids: Sequence[str]) -> int:
    """Delete rows with all that depends on them: how many there were."""
    if not ids:
        return 0
    found = await existing(connection, ids)
    await forget_titles(connection, list(found.values()))
    await connection.execute(sa.delete(threads).where(among(threads.c.id, ids)))
    await connection.execute(
        sa.delete(thread_spawn_edges).where(among(thread_spawn_edges.c.child_thread_id, ids))
    )
    return len(found)


async def invalidate_readings(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Have the messages and turns of threads read whole again."""
    if not ids:
        return
    await connection.execute(
        sa.delete(turn_checkpoints).where(among(turn_checkpoints.c.thread_id, ids))
    )
    row_ids = sa.select(threads.c.row_id).where(among(threads.c.id, ids))
    await forget_resume_points(connection, (FULLTEXT, TURNS), row_ids)
    pending = sa.select(fulltext_pending.c.row_id)
    await connection.execute(
        sa.insert(fulltext_pending).from_select(
            ["row_id"], row_ids.where(threads.c.row_id.not_in(pending))
        )
    )


async def rename(connection: AsyncConnection, names: Mapping[str, str | None]) -> None:
    """Set the names of existing rows, and the columns that depend on them."""
    c = threads.c
    found = await connection.execute(sa.select(threads).where(among(c.id, names)))
    changed = [dict(row._mapping) for row in found if row.name != names[row.id]]
    await forget_titles(connection, changed)
    for row in changed:
        row["name"] = names[row["id"]]
        preview = row["preview"] or row["fallback_preview"]
        row["search_text"] = search_text(row["name"], row["title"], preview)
        row["facet"] = Facet.of(row).encode()
        values = {key: row[key] for key in ("name", "search_text", "facet")}
        await connection.execute(sa.update(threads).where(c.id == row["id"]).values(values))
    await write_titles(connection, changed)


def written_provider(row: Mapping[str, Any]) -> str | None:
    """The provider that a thread's rollout names; None if it names none, and the row has the
    default."""
    return row["model_provider"] if row["flags"] & model.SEEN_PROVIDER else None


async def set_default_provider(connection: AsyncConnection, provider: str) -> None:
    """Set the provider of threads whose rollout names none."""
    c = threads.c
    unnamed = (c.flags.op("&")(model.SEEN_PROVIDER) == 0) & (c.model_provider != provider)
    facets = await connection.scalars(sa.select(c.facet).where(unnamed).distinct())
    for facet in list(facets):
        other = Facet.decode(facet)._replace(provider=provider).encode()
        await connection.execute(
            sa.update(threads)
            .where(unnamed, c.facet == facet)
            .values(model_provider=provider, facet=other)
        )


async def forget_titles(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Take rows out of the title index, which needs the text that it had indexed."""
    if rows:
        await connection.execute(
            sa.text(
                "INSERT INTO thread_titles (thread_titles, rowid, search_text)"
                " VALUES ('delete', :row_id, :search_text)"
            ),
            [{"row_id": row["row_id"], "search_text": row["search_text"]} for row in rows],
        )


async def write_titles(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows into the title index."""
    # Not by a trigger, which costs five times as much (measured): FTS5 flushes at the end of each
    # statement that fires one.
    if rows:
        await connection.exec_driver_sql(
            "INSERT INTO thread_titles (rowid, search_text) VALUES (?, ?)",
            [(row["row_id"], row["search_text"]) for row in rows],
        )


async def earlier_extractions(
    connection: AsyncConnection, paths: Mapping[str, str]
) -> dict[str, EarlierMetadata]:
    """What the last pass over files gave, by path, so that the next one can continue there.

    ``paths`` maps each path to the one that the ledger has, which is another if the file was
    moved.
    """
    wanted = {old: new for new, old in paths.items()}
    found: dict[str, EarlierMetadata] = {}
    f = rollout_files.c
    told = [file_usage.c[name] for name in FIELDS]
    joined = (
        sa.select(
            threads, *(f.bad_lines, f.reason, f.reason_offset, f.left_out, f.left_out_at), *told
        )
        .join(rollout_files, rollout_files.c.path == threads.c.rollout_path)
        .join(file_usage, file_usage.c.path == rollout_files.c.path)
    )
    condition = among(rollout_files.c.path, wanted) & (rollout_files.c.thread_id == threads.c.id)
    known = (await connection.execute(joined.where(condition))).all()
    points = await load_resume_points(connection, METADATA, [row.row_id for row in known])
    for row in known:
        values = row._mapping
        resume = points.get(row.row_id)
        if row.extractor_version != EXTRACTOR_VERSION or resume is None or not resume.guard:
            continue
        usage = stored_usage(*(values[name] for name in FIELDS))
        if usage is None:
            continue
        metadata = model.ThreadMetadata(**{name: values[name] for name in model.METADATA_NAMES})
        if not metadata.flags & model.SEEN_PROVIDER:
            metadata.model_provider = None  # the row shows the default of its time
        if metadata.flags & model.BEGINS_ELSEWHERE:
            metadata.preview = ""  # the row shows that of another file
            metadata.flags &= ~model.BEGINS_ELSEWHERE
        bad = BadLine(row.reason_offset or 0, row.reason) if row.reason else None
        path = wanted[row.rollout_path]
        left_out = row.left_out, row.left_out_at
        found[path] = EarlierMetadata(metadata, resume, row.bad_lines, bad, *left_out, usage)
    return found
