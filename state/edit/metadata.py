"""Change the name, git facts or memory mode of a thread: check, then the file, then the row.

Names are kept in the home's ``session_index.jsonl``; git facts and memory mode of a legacy thread
in its rollout, of a paginated one in the journal beside the index
(docs/rollout-format.md#lines-outside-turns). Codex's own database is notified too, as Codex looks
there first; if that fails, the change stands and carries the error. A change that has begun is
finished even if its caller is cancelled: else Codex would not be notified. ``sqlite_home`` is the
value of ``CODEX_SQLITE_HOME``; ``live`` has the recorders of this process, by thread id. Whatever
takes a reference raises AmbiguousThread if more than one thread is meant, and ThreadNotFound if
there is no such thread.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from rollout.errors import RolloutError
from rollout.files.text import storable_text
from rollout.metadata.model import LONGEST_TEXT
from rollout.metadata.session_index import append_name, remove_names
from rollout.schema.modes import LEGACY, MODES
from rollout.writing.amend import append_meta
from state.aio import finished
from state.codex_db.notify import CodexError
from state.edit.git import without_credentials
from state.edit.refresh import refresh_files, refresh_names, update_codex
from state.errors import (
    InvalidChange,
    InvalidName,
    StateError,
    ThreadArchived,
    UnsupportedHistory,
    file_errors,
)
from state.query.rows import Row, flags_steps
from state.recording.recorder import NO_RECORDERS, LiveRecorders, RolloutRecorder
from state.rows.thread_rows import written_provider
from state.thread_index import ThreadIndex
from state.userdata.store import set_values

MEMORY_MODES: Final = ("enabled", "disabled")
GIT_FIELDS: Final = {
    "sha": ("git_sha", "commit_hash"),
    "branch": ("git_branch", "branch"),
    "origin": ("git_origin_url", "repository_url"),
}
"""The git facts that can be set: for each its column, and its name in a rollout."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that was made."""

    thread_id: str
    indexed: bool = True
    """False if the index was busy: the next sync updates it."""
    codex_error: CodexError | None = None
    """Why Codex was not notified, and keeps what it has."""


async def set_name(
    index: ThreadIndex,
    reference: str,
    name: str,
    sqlite_home: Path | None = None,
    *,
    dry_run: bool = False,
    refresh: bool = True,
) -> tuple[Changed, str]:
    """Name a thread. Gives the name as it is kept, without blanks around it. ``dry_run`` only
    checks the name and the thread; without ``refresh`` the caller updates the index.

    Raises:
        FileUnusable: ``session_index.jsonl`` cannot be written.
        InvalidName: it is blank.
        ThreadArchived: the thread is archived.
    """
    name = checked_name(name)
    row = await index.thread(reference)
    if row["archived"]:
        raise ThreadArchived(row["id"])
    if dry_run:
        return Changed(row["id"]), name
    return await finished(_set_name(index, row["id"], name, sqlite_home, refresh=refresh)), name


async def take_back_name(
    index: ThreadIndex, thread_id: str, sqlite_home: Path | None = None
) -> Changed:
    """Take back the names of a thread that was unnamed before. Its lines in the file of names go,
    as they do when Codex deletes a thread: Codex takes no line for the end of a name.

    Raises:
        FileUnusable: ``session_index.jsonl`` cannot be written.
    """
    return await finished(_take_back_name(index, thread_id, sqlite_home))


async def set_memory_mode(
    index: ThreadIndex,
    reference: str,
    mode: str,
    sqlite_home: Path | None = None,
    *,
    live: LiveRecorders = NO_RECORDERS,
) -> Changed:
    """Say whether memories may be made of a thread: ``enabled`` or ``disabled``.

    Raises:
        FileUnusable: the rollout or the journal cannot be written.
        IndexBusy: another process holds the index; nothing was changed.
        InvalidChange: there is no such mode.
        NotAppendable: the rollout has no ``session_meta`` of the thread.
        ThreadArchived: the thread is archived.
        UnsupportedHistory: this version does not know its history mode.
        RecorderFailed: it is a live legacy thread that cannot be written now.
        WriterActive: it is a legacy thread that is open in another program.
    """
    check_memory_mode(mode)
    row = await index.thread(reference)
    if row["archived"]:
        raise ThreadArchived(row["id"])
    _check_mode(row)
    values = {"memory_mode": mode}
    return await finished(_change(index, row, values, values, live, sqlite_home))


async def set_memory_modes(
    index: ThreadIndex,
    thread_ids: Sequence[str],
    mode: str,
    sqlite_home: Path | None = None,
    *,
    dry_run: bool = False,
) -> dict[str, Changed | StateError | RolloutError]:
    """As :func:`set_memory_mode`, of some threads by their ids: what became of each. The index and
    Codex follow with all of them at once."""
    check_memory_mode(mode)
    rows = await index.rows_of(thread_ids)
    results: dict[str, Changed | StateError | RolloutError] = {}
    for id_ in thread_ids:
        try:
            row = rows.get(id_) or await index.thread(id_)
            if row["archived"]:
                raise ThreadArchived(id_)
            _check_mode(row)
            rows[id_], results[id_] = row, Changed(id_)
        except (StateError, RolloutError) as error:
            results[id_] = error
    going = [rows[id_] for id_, result in results.items() if isinstance(result, Changed)]
    if not dry_run and going:
        values = {"memory_mode": mode}
        results |= await finished(_change_many(index, going, values, sqlite_home))
    return results


async def _change_many(
    index: ThreadIndex, rows: Sequence[Row], values: Mapping[str, str], sqlite_home: Path | None
) -> dict[str, Changed | StateError | RolloutError]:
    results: dict[str, Changed | StateError | RolloutError] = {}
    stored = [row["id"] for row in rows if row["history_mode"] != LEGACY]
    try:
        if stored:
            await _set_user_data(index, stored, values)
        results |= {id_: Changed(id_) for id_ in stored}
    except StateError as error:
        results |= dict.fromkeys(stored, error)
    paths: list[str] = []
    flags = await index.database.query(flags_steps([row["id"] for row in rows]))

    async def append(row: Row) -> None:
        try:
            repeated = repeated_meta({**row, "flags": flags[row["id"]]})
            with file_errors(index.home / row["rollout_path"]):
                written = await _append_line(index, row, {**repeated, **values})
        except (StateError, RolloutError) as error:
            results[row["id"]] = error
        else:
            results[row["id"]] = Changed(row["id"])
            paths.extend({written, row["rollout_path"]})

    await asyncio.gather(*(append(row) for row in rows if row["history_mode"] == LEGACY))
    indexed = await refresh_files(index, paths) if paths else True
    changed = [id_ for id_, result in results.items() if isinstance(result, Changed)]

    codex_error = await update_codex(index, dict.fromkeys(changed, values), sqlite_home)
    results |= {id_: Changed(id_, indexed or id_ in stored, codex_error) for id_ in changed}
    return results


async def set_git_info(
    index: ThreadIndex,
    reference: str,
    changes: Mapping[str, str | None],
    sqlite_home: Path | None = None,
    *,
    dry_run: bool = False,
    live: LiveRecorders = NO_RECORDERS,
) -> tuple[Changed, dict[str, str]]:
    """Set git facts of a thread, by the names of :data:`GIT_FIELDS`; None removes one, the others
    stay. Credentials in a URL are removed. Gives all git facts as :func:`git_info` does; with
    ``dry_run`` as they would be.

    Raises what :func:`set_memory_mode` raises, but nothing for an archived thread; InvalidChange if
    nothing is to be set, or something to an empty text.
    """
    given = checked_git(changes)
    row = await index.thread(reference)
    values, git = git_change(row, given)
    _check_mode(row)
    if dry_run:
        return Changed(row["id"]), git
    return await finished(_change(index, row, values, {"git": git}, live, sqlite_home)), git


async def git_info(index: ThreadIndex, reference: str) -> dict[str, str]:
    """The git facts of a thread, by the names that rollouts have."""
    return {name: value for name, value in _git_of(await index.thread(reference)).items() if value}


def checked_name(name: str) -> str:
    """A name as it is kept, without blanks around it. Raises InvalidName if it is blank, or not
    text."""
    if storable_text(name) != name:
        raise InvalidName("must be text; a part of it is not")
    name = name.strip()
    if not name:
        raise InvalidName("must not be empty")
    return name


def check_memory_mode(mode: str) -> None:
    """Raises InvalidChange if there is no such mode."""
    if mode not in MEMORY_MODES:
        raise InvalidChange(f"the memory mode is {' or '.join(MEMORY_MODES)}")


def checked_git(changes: Mapping[str, str | None]) -> dict[str, str | None]:
    """Git facts as they are kept, by the names of :data:`GIT_FIELDS`. Raises InvalidChange if
    nothing is to be set, or something to an empty text."""
    if not changes:
        raise InvalidChange("git info must include at least one field")
    given: dict[str, str | None] = {}
    for field, value in changes.items():
        if field not in GIT_FIELDS:
            raise InvalidChange(f"git info has {', '.join(GIT_FIELDS)}, not {field}")
        if value is not None:
            value = without_credentials(storable_text(value).strip())[:LONGEST_TEXT]
            if not value:
                raise InvalidChange(f"git {field} must not be empty")
        given[field] = value
    return given


def git_change(
    row: Row, given: Mapping[str, str | None]
) -> tuple[dict[str, str | None], dict[str, str]]:
    """The columns that a change sets, and all git facts of the thread after it, by the names that
    rollouts have: a ``session_meta`` with git replaces all of it."""
    columns = {GIT_FIELDS[field][0]: value for field, value in given.items()}
    wanted = _git_of(row) | {GIT_FIELDS[field][1]: value for field, value in given.items()}
    return columns, {name: value for name, value in wanted.items() if value is not None}


def repeated_meta(details: Mapping[str, Any]) -> dict[str, str]:
    """The present facts that a new ``session_meta`` must repeat, from all columns of the thread's
    row: a later line overrides an earlier one."""
    repeated = {"cwd": details["cwd"]}
    provider = written_provider(details)
    if provider is not None:
        repeated["model_provider"] = provider
    return repeated


def _git_of(row: Row) -> dict[str, str | None]:
    return {name: row[column] for column, name in GIT_FIELDS.values()}


def _check_mode(row: Row) -> None:
    if row["history_mode"] not in MODES:
        raise UnsupportedHistory(row["id"], row["history_mode"])


async def _set_name(
    index: ThreadIndex, thread_id: str, name: str, sqlite_home: Path | None, *, refresh: bool
) -> Changed:
    with file_errors(index.home):
        await index.database.workers.finish(partial(append_name, index.home, thread_id, name))
    indexed = await refresh_names(index) if refresh else True
    return await _notify(index, Changed(thread_id, indexed), {"name": name}, sqlite_home)


async def _take_back_name(index: ThreadIndex, thread_id: str, sqlite_home: Path | None) -> Changed:
    with file_errors(index.home):
        await index.database.workers.finish(partial(remove_names, index.home, [thread_id]))
    indexed = await refresh_names(index)
    return await _notify(index, Changed(thread_id, indexed), {"name": None}, sqlite_home)


async def _change(
    index: ThreadIndex,
    row: Row,
    values: Mapping[str, str | None],
    payload: Mapping[str, Any],
    live: LiveRecorders,
    sqlite_home: Path | None,
) -> Changed:
    if row["history_mode"] == LEGACY:
        repeated = repeated_meta(await index.details(row["id"]))
        changed = await _append(index, row, {**repeated, **payload}, live.get(row["id"]))
    else:
        await _set_user_data(index, [row["id"]], values)
        changed = Changed(row["id"])
    return await _notify(index, changed, values, sqlite_home)


async def _notify(
    index: ThreadIndex, changed: Changed, values: Mapping[str, str | None], sqlite_home: Path | None
) -> Changed:
    error = await update_codex(index, {changed.thread_id: values}, sqlite_home)
    return replace(changed, codex_error=error)


async def _append(
    index: ThreadIndex, row: Row, changes: Mapping[str, Any], recorder: RolloutRecorder | None
) -> Changed:
    path = row["rollout_path"]
    with file_errors(index.home / path):
        if recorder is None:
            written = await _append_line(index, row, changes)
        else:
            await recorder.amend(changes)
            written = recorder.path.relative_to(index.home).as_posix()
    indexed = await refresh_files(index, list({written, path}))
    return Changed(row["id"], indexed)


async def _append_line(index: ThreadIndex, row: Row, changes: Mapping[str, Any]) -> str:
    """Gives the path of the rollout after it, relative to the home."""
    path = index.home / row["rollout_path"]
    written = await index.database.workers.finish(
        partial(append_meta, index.home, path, row["id"], changes)
    )
    return written.relative_to(index.home).as_posix()


async def _set_user_data(
    index: ThreadIndex, thread_ids: Sequence[str], values: Mapping[str, str | None]
) -> None:
    """Set columns that users set: an empty value stands for null."""
    stored = {key: value or "" for key, value in values.items()}
    await set_values(index.database, thread_ids, stored)
