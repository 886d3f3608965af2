"""One thread as its files are now, even if the index is behind."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.files.layout import precedence, thread_id_in_name
from rollout.files.scan import FoundFile
from rollout.metadata.extract import extract_file
from rollout.metadata.model import BEGINS_ELSEWHERE
from rollout.metadata.outcomes import Extracted, Unusable
from rollout.metadata.session_index import ThreadName
from state.db.sql import AMONG, dicts, listed
from state.explain.picker import Picker
from state.explain.reasons import BOTH, HERE, Reason
from state.explain.resolve import NO_THREAD
from state.query.rows import Row
from state.rows.ledger import Changes, stamp_of
from state.rows.openings import opening_steps, show_opening
from state.rows.thread_rows import thread_row
from state.thread_index import ThreadIndex
from state.userdata.model import UserValue, chosen_names, values_of_columns
from state.userdata.store import newer_names, recorded_name, values_of_threads


@dataclass(frozen=True, slots=True)
class ExplainContext:
    """What every step of an explanation needs."""

    index: ThreadIndex
    changes: Changes
    names: Mapping[str, ThreadName]
    """The names in ``session_index.jsonl``."""
    picker: Picker


@dataclass(slots=True)
class CurrentThread:
    """One thread as its files are now."""

    id: str
    row: Row | None
    """The row that a list would show; None if none of its files can be read."""
    paths: list[str]
    """Its readable files."""
    notes: list[Reason]
    gone: list[str]
    """Files that are in the index but not on the disk."""


async def read_thread(context: ExplainContext, thread_id: str, asked: str | None) -> CurrentThread:
    """The thread from its row if that is up to date, else from its files."""
    index, changes = context.index, context.changes
    entries, row, values = await _stored(index, thread_id)
    gone = sorted({*entries} & {*changes.vanished})
    new = {
        file.path: file
        for file in changes.to_read
        if file.path in (*entries, asked) or thread_id_in_name(file.path) == thread_id
    }
    no_rollouts = {path: e["reason"] for path, e in entries.items() if e["bucket"] == "ignored"}
    no_rollouts |= {
        f.path: f.ignored for f in changes.ignored if thread_id_in_name(f.path) == thread_id
    }
    paths = sorted({*entries, *new, *filter(None, [asked])} - {*gone, *no_rollouts})
    lost = "the index has a file of it there, but that is gone"
    notes = [Reason("file_gone", HERE, False, lost, path, None, "threadkeep sync") for path in gone]
    for path, file in new.items():
        notes += _not_indexed(file, entries.get(path), changes.moved_from.get(path))
    if row is not None and not new and not gone:
        recorded = row["rollout_name"] and ThreadName(row["rollout_name"], row["rollout_name_ms"])
        name = _name(context, thread_id, values, recorded or None)
        unreadable = {path for path, e in entries.items() if e["bucket"] == "unreadable"}
        readable = [path for path in paths if path not in unreadable]
        notes += [_ledger_note(entry) for entry in entries.values() if entry["reason"]]
        return CurrentThread(thread_id, row | {"name": name}, readable, notes, gone)
    outcomes = await index.database.workers.run(
        lambda: [extract_file(index.home, path) for path in paths]
    )
    extracted = [o for o in outcomes if isinstance(o, Extracted) and o.metadata.id == thread_id]
    if not extracted:
        notes += [unreadable_file(file) for file in outcomes if isinstance(file, Unusable)]
        notes += [
            Reason("ignored", BOTH, True, f"it is not a rollout: {why}", path)
            for path, why in no_rollouts.items()
        ]
        return CurrentThread(thread_id, None, [], notes, gone)
    own = max(extracted, key=lambda file: precedence(file.path, file.stamp.size, thread_id))
    if own.first_bad:
        bad = own.first_bad
        notes.append(_bad_lines(own.path, own.bad_lines, bad.offset, bad.reason))
    overrides = values_of_columns(values).get(thread_id)
    name = _name(context, thread_id, values, recorded_name(own.metadata))
    row = thread_row(own, name, context.picker.provider, overrides)
    if row["flags"] & BEGINS_ELSEWHERE:
        show_opening(row, await index.database.query(opening_steps(thread_id, row)))
    return CurrentThread(thread_id, row, [file.path for file in extracted], notes, gone)


def _name(
    context: ExplainContext,
    thread_id: str,
    values: Sequence[UserValue],
    recorded: ThreadName | None,
) -> str | None:
    names = newer_names(context.names, {thread_id: recorded} if recorded else {})
    return chosen_names(names, values).get(thread_id)


async def _stored(
    index: ThreadIndex, thread_id: str
) -> tuple[dict[str, dict[str, Any]], Row | None, list[UserValue]]:
    """The ledger entries by path, unreadable ones included; the row; the user data."""

    def read(
        connection: sqlite3.Connection,
    ) -> tuple[dict[str, dict[str, Any]], Row | None, list[UserValue]]:
        entries = connection.execute(_ENTRIES, [thread_id, listed(NO_THREAD), thread_id])
        by_path = {entry["path"]: entry for entry in dicts(entries)}
        rows = dicts(connection.execute("SELECT * FROM threads WHERE id = ?", [thread_id]))
        return by_path, rows[0] if rows else None, values_of_threads(connection, [thread_id])

    return await index.database.look(read)


_ENTRIES: Final = (
    f"SELECT * FROM rollout_files WHERE thread_id = ? OR (bucket {AMONG} AND instr(path, ?))"
    " ORDER BY path"
)


def _not_indexed(
    file: FoundFile, entry: dict[str, Any] | None, moved_from: str | None
) -> list[Reason]:
    what = "is not in the index yet"
    if moved_from:
        what = f"was moved from {moved_from}"
    elif entry:
        if stamp_of(entry) == file.stamp:
            return []  # it is only tried again, or was read by an older version
        what = "has changed since the index read it"
    evidence = f"the file {what}; this shows it as it is now, and list updates the index"
    return [Reason("not_yet_indexed", HERE, False, evidence, file.path, None, "threadkeep sync")]


def _ledger_note(entry: dict[str, Any]) -> Reason:
    place = entry["reason_offset"], entry["reason"]
    if entry["bucket"] not in NO_THREAD:
        return _bad_lines(entry["path"], entry["bad_lines"], *place)
    code = "ignored" if entry["bucket"] == "ignored" else "unreadable"
    evidence = f"another file of it holds no readable thread: {entry['reason']}"
    return Reason(code, BOTH, False, evidence, entry["path"], entry["reason_offset"])


def _bad_lines(path: str, count: int, offset: int | None, reason: str) -> Reason:
    evidence = f"unreadable lines: {count:,}; the first because {reason}"
    return Reason("damaged_lines", HERE, False, evidence, path, offset)


def unreadable_file(file: Unusable) -> Reason:
    evidence = f"the file holds no readable thread: {file.reason}"
    return Reason("unreadable", BOTH, True, evidence, file.path, file.offset)
